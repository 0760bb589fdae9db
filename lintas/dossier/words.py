"""What a dossier says, in Bahasa Indonesia and in English."""

from collections.abc import Mapping

__all__ = ["LANGUAGES", "words"]

LANGUAGES = ("id", "en")

_WORDS: Mapping[str, tuple[str, str]] = {
    "title": ("Berkas pertanggungjawaban pertukaran data", "Dossier of data exchanges"),
    "subtitle": (
        "Siapa melihat apa, kapan, dan atas dasar apa",
        "Who saw what, when, and by which right",
    ),
    "question": ("Pertanyaan", "Question"),
    "about.subject": ("semua entri tentang satu orang", "every entry about one person"),
    "about.exchange": (
        "satu pertukaran dan entri yang terkait",
        "one exchange and the entries that belong to it",
    ),
    "about.case": ("semua entri tentang satu perkara", "every entry about one case"),
    "about.period": ("semua entri dalam satu kurun waktu", "every entry of one period"),
    "for.citizen": (
        "Warga yang bersangkutan; isi tersegel tentang dirinya ikut ditampilkan",
        "The citizen concerned; what is sealed about them is shown",
    ),
    "for.auditor": ("Auditor; orang hanya tampil sebagai tanda", "An auditor; persons appear as tags only"),
    "written_for": ("Ditulis untuk", "Written for"),
    "written_at": ("Ditulis pada", "Written at"),
    "by": ("Oleh", "By"),
    "period": ("Kurun waktu", "Period"),
    "log": ("Log", "Log"),
    "checkpoint": ("Titik periksa", "Checkpoint"),
    "entries_count": ("{count} entri; {proven} dengan bukti", "{count} entries; {proven} with a proof"),
    "tree": ("{size} entri ditandatangani", "{size} entries signed"),
    "overview": ("Ringkasan", "Overview"),
    "nothing": (
        "Log tidak memuat entri yang menjawab pertanyaan ini.",
        "The log holds no entry that answers this.",
    ),
    "no": ("No.", "No."),
    "when": ("Kapan", "When"),
    "who": ("Siapa", "Who"),
    "what": ("Apa", "What"),
    "right": ("Atas dasar apa", "By which right"),
    "outcome": ("Hasil", "Outcome"),
    "entry": ("Entri {index}", "Entry {index}"),
    "kind": ("Jenis", "Kind"),
    "consumer": ("Penerima", "Receiver"),
    "provider": ("Pemilik data", "Provider"),
    "system": ("Sistem", "System"),
    "actor": ("Petugas (samaran)", "Officer (pseudonym)"),
    "purpose": ("Tujuan", "Purpose"),
    "legal_basis": ("Dasar hukum (UU 27/2022 Ps. 20)", "Legal basis (UU 27/2022 Art. 20)"),
    "agreements": ("Perjanjian", "Agreements"),
    "consent": ("Persetujuan", "Consent"),
    "datasets": ("Himpunan data", "Datasets"),
    "fields": ("Data yang dilihat", "Fields seen"),
    "decision": ("Keputusan", "Decision"),
    "rules": ("Aturan", "Rules"),
    "details": ("Rincian", "Details"),
    "opened": ("Isi tersegel tentang Anda", "Sealed content about you"),
    "proof": ("Bukti", "Proof"),
    "proven": (
        "terbukti dalam pohon bertanda tangan ({file})",
        "proven in a signed tree ({file})",
    ),
    "unproven": ("belum tercakup titik periksa", "no checkpoint covers it yet"),
    "leaf": ("Sidik daun", "Leaf hash"),
    "rests": ("Yang menjadi sandaran, sebagaimana berlaku saat itu", "What it rested on, as it stood then"),
    "agreement_of": ("Perjanjian {id}, revisi {revision}", "Agreement {id}, revision {revision}"),
    "consent_of": ("Persetujuan {id}, revisi {revision}", "Consent {id}, revision {revision}"),
    "not_logged": (
        "tidak tercatat di log: versi yang berlaku saat itu tidak dapat dibuktikan",
        "not in the log: which version was in force cannot be shown",
    ),
    "entries_of": ("Berlaku bagi entri", "In force for entries"),
    "contract_of": ("Kontrak data {id}, versi {revision}", "Data contract {id}, version {revision}"),
    "service_of": ("Layanan {id}, versi {revision}", "Service {id}, version {revision}"),
    "hash": ("Sidik SHA-256", "SHA-256"),
    "paper": ("Naskah kertas", "Paper agreement"),
    "parties": ("Para pihak", "Parties"),
    "instrument": ("Dasar peraturan", "Legal instrument"),
    "valid": ("Berlaku", "In force"),
    "retention": ("Masa simpan penerima", "Receiver keeps it"),
    "days": ("{count} hari", "{count} days"),
    "state": ("Keadaan", "State"),
    "ended": ("Diakhiri", "Ended"),
    "bytes_there": ("teks persis ada dalam berkas digital", "its exact text is in the bundle"),
    "bytes_gone": (
        "teks tidak lagi tersedia; sidiknya ada di log",
        "text no longer at hand; its hash is in the log",
    ),
    "rules_title": ("Aturan yang diterapkan", "Rules that were applied"),
    "check": ("Cara memeriksa", "How to check it"),
    "check_text": (
        "Berkas digital yang menyertai dokumen ini memuat setiap entri bita demi bita, bukti penyertaannya,"
        " titik periksa yang ditandatangani, dan teks yang menjadi sandaran. Periksa tanpa jaringan dan tanpa"
        " bus: <font face='Courier'>python lintas_dossier.py BERKAS --log-keys log.keys"
        " --bus-keys bus.jwks</font>."
        " Mintalah kunci publik dari pihak selain pengelola bus.",
        "The bundle that comes with this document holds every entry byte for byte, its proof of inclusion,"
        " the signed checkpoint, and the texts that it rested on. Check it without a network and without"
        " the bus: <font face='Courier'>python lintas_dossier.py BUNDLE --log-keys log.keys"
        " --bus-keys bus.jwks</font>."
        " Get the public keys from somebody other than the operator of the bus.",
    ),
    "limits": ("Yang tidak dibuktikan", "What it does not prove"),
    "limit_missing": (
        "Bahwa semua yang terjadi tercatat; lihat `lintas audit reconcile`.",
        "That everything which happened was logged; see `lintas audit reconcile`.",
    ),
    "limit_complete": (
        "Bahwa jawaban ini lengkap: entri dicari lewat indeks di luar log. Orang yang bersangkutan dapat"
        " memeriksa semua entri dengan kuncinya sendiri (`lintas audit verify-subject`).",
        "That this answer is complete: entries are found by an index outside the log. The person concerned"
        " can try all entries with a key of their own (`lintas audit verify-subject`).",
    ),
    "limit_fork": (
        "Bahwa setiap orang diperlihatkan log yang sama, kecuali sejauh saksi independen menandatanganinya.",
        "That everybody is shown the same log, except as far as independent witnesses have signed it.",
    ),
    "page": ("Halaman {page}", "Page {page}"),
    "yes": ("ya", "yes"),
    "none": ("tidak ada", "none"),
}


def words(language: str) -> Mapping[str, str]:
    """Every word in one language; Bahasa Indonesia unless it is `en`."""
    place = 1 if language == "en" else 0
    return {name: both[place] for name, both in _WORDS.items()}
