"""What each kind of entry records, in a few words of either language."""

from collections.abc import Mapping

__all__ = ["kind_words"]

_INDONESIAN: Mapping[str, str] = {
    "sync.started": "penarikan data dimulai",
    "sync.completed": "satu kumpulan data diterbitkan",
    "sync.held": "satu kumpulan data ditahan",
    "sync.released": "kumpulan data yang ditahan dilepas",
    "sync.rejected": "satu kumpulan data ditolak",
    "sync.failed": "penarikan data gagal",
    "exchange.answered": "sebuah pertanyaan dijawab",
    "login.accepted": "sebuah sistem membuktikan jati dirinya dan mendapat token akses",
    "login.refused": "token ditolak bagi pemanggil yang tidak membuktikan jati dirinya",
    "exchange.refused": "sebuah pertanyaan ditolak; tidak ada jawaban yang keluar",
    "exchange.read": "jawaban yang tersimpan dibaca lagi",
    "exchange.reviewed": "jawaban diperiksa ulang karena datanya berubah",
    "exchange.pushed": "pemberitahuan dikirim ke portal",
    "lookup.requested": "sumber data ditanya langsung",
    "lookup.completed": "sumber data menjawab langsung",
    "consent.granted": "persetujuan diberikan",
    "consent.refused": "persetujuan tidak diberikan",
    "consent.withdrawn": "persetujuan ditarik",
    "consent.expired": "persetujuan berakhir",
    "agreement.signed": "perjanjian ditandatangani kedua pihak",
    "agreement.ended": "perjanjian berakhir",
    "referral.opened": "perkara diserahkan kepada petugas",
    "referral.viewed": "petugas melihat perkara",
    "referral.decided": "petugas memutuskan perkara",
    "notice.delivered": "portal menerima pemberitahuan",
    "identity.linked": "catatan dikaitkan dengan orang",
    "identity.unlinked": "kaitan catatan dilepas",
    "quarantine.viewed": "baris karantina diperlihatkan",
    "audit.viewed": "log dibaca",
    "audit.exported": "log diekspor",
    "audit.dossier": "berkas pertanggungjawaban ditulis",
    "audit.breach": "dampak kegagalan pelindungan ditanyakan",
    "audit.key-given": "kunci pemeriksaan diserahkan kepada orangnya",
    "contract.published": "kontrak data mulai berlaku",
}


def kind_words(kind: str, language: str) -> str:
    """What a kind records; the kind itself where there are no words for it."""
    from audit.kinds import KINDS, EntryKind

    if language != "en":
        return _INDONESIAN.get(kind, kind)
    return KINDS[EntryKind(kind)].summary if kind in set(EntryKind) else kind
