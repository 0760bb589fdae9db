"""Every rule of the decision layer: its stable id and what it says, in two languages.

The ids are part of the public contract (problems, log entries, documentation): they are added to,
never renamed. Texts name agencies, datasets, fields and purposes, never a person.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RULES", "Explanation", "Rule", "markdown"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """One sentence in Bahasa Indonesia and in English."""

    indonesian: str
    english: str

    def in_language(self, language: str) -> str:
        """The sentence in the language asked for; Bahasa Indonesia unless it is `en`."""
        return self.english if language.lower().startswith("en") else self.indonesian

    def as_dict(self) -> dict[str, str]:
        """Both languages, by language code."""
        return {"id": self.indonesian, "en": self.english}


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule id with the sentence that it stands for; `{names}` are filled in by the finding."""

    rule_id: str
    indonesian: str
    english: str

    def explain(self, **names: str) -> Explanation:
        """Both sentences with the names filled in."""
        return Explanation(self.indonesian.format_map(names), self.english.format_map(names))


_ALL = (
    # --- the request itself
    Rule(
        "request.empty",
        "Permintaan tidak menyebut satu pun data yang diminta.",
        "The request names no field of any dataset.",
    ),
    # --- who takes part
    Rule("consumer.unknown", "{consumer} bukan peserta bus.", "{consumer} takes no part in the bus."),
    Rule(
        "consumer.suspended",
        "Kepesertaan {consumer} sedang ditangguhkan.",
        "{consumer} is suspended from the bus.",
    ),
    Rule(
        "system.unknown",
        "Sistem {system} tidak terdaftar.",
        "The system {system} is not registered.",
    ),
    Rule(
        "system.suspended",
        "Sistem {system} sedang ditangguhkan.",
        "The system {system} is suspended.",
    ),
    Rule(
        "system.foreign",
        "Sistem {system} bukan milik {consumer}.",
        "The system {system} does not belong to {consumer}.",
    ),
    Rule("provider.unknown", "{provider} bukan peserta bus.", "{provider} takes no part in the bus."),
    Rule(
        "provider.suspended",
        "Kepesertaan {provider} sedang ditangguhkan.",
        "{provider} is suspended from the bus.",
    ),
    # --- the agreement (PKS), in the order in which agreements are tried
    Rule(
        "agreement.none",
        "Tidak ada perjanjian antara {provider} dan {consumer}.",
        "There is no agreement between {provider} and {consumer}.",
    ),
    Rule(
        "agreement.dataset-not-covered",
        "Tidak ada perjanjian yang mencakup dataset {dataset}.",
        "No agreement covers the dataset {dataset}.",
    ),
    Rule(
        "agreement.purpose-not-covered",
        "Tidak ada perjanjian dengan {provider} yang mencakup tujuan {purpose}.",
        "No agreement with {provider} covers the purpose {purpose}.",
    ),
    Rule(
        "verb.not-covered",
        "Perjanjian tidak mencakup tindakan {verb} untuk {dataset}.",
        "The agreement does not cover the verb {verb} for {dataset}.",
    ),
    Rule(
        "mode.not-covered",
        "Perjanjian tidak mencakup cara {mode} untuk {dataset}.",
        "The agreement does not cover the mode {mode} for {dataset}.",
    ),
    Rule(
        "agreement.fields-not-covered",
        "Perjanjian tidak mencakup kolom berikut dari {dataset}: {fields}.",
        "The agreement does not cover these fields of {dataset}: {fields}.",
    ),
    Rule(
        "agreement.ended",
        "Perjanjian {agreement} telah diakhiri.",
        "The agreement {agreement} has been ended.",
    ),
    Rule(
        "agreement.not-yet-valid",
        "Perjanjian {agreement} belum berlaku.",
        "The agreement {agreement} is not yet in force.",
    ),
    Rule(
        "agreement.expired",
        "Masa berlaku perjanjian {agreement} telah habis.",
        "The agreement {agreement} has expired.",
    ),
    Rule(
        "onward.forbidden",
        "Perjanjian {agreement} tidak mengizinkan data diteruskan kepada pihak lain.",
        "The agreement {agreement} does not allow the data to be passed on.",
    ),
    Rule(
        "case.missing",
        "Perjanjian {agreement} mewajibkan nomor berkas pada setiap permintaan.",
        "The agreement {agreement} requires every request to name a case.",
    ),
    Rule(
        "quota.exhausted",
        "Kuota harian perjanjian {agreement} telah habis.",
        "The daily quota of the agreement {agreement} is used up.",
    ),
    Rule(
        "emergency.not-declared",
        "Perjanjian {agreement} hanya berlaku untuk keadaan darurat yang dinyatakan.",
        "The agreement {agreement} serves declared emergencies only.",
    ),
    Rule(
        "emergency.not-agreed",
        "Perjanjian {agreement} tidak membuka data untuk keadaan darurat.",
        "The agreement {agreement} does not open the data in an emergency.",
    ),
    # --- the claim of an emergency
    Rule(
        "emergency.officer-missing",
        "Keadaan darurat harus dinyatakan oleh petugas yang disebut namanya.",
        "An emergency must be declared by a named officer.",
    ),
    Rule(
        "emergency.reason-missing",
        "Keadaan darurat harus disertai alasan.",
        "An emergency must be declared with a reason.",
    ),
    Rule(
        "emergency.subject-missing",
        "Keadaan darurat harus menyangkut satu orang tertentu.",
        "An emergency must concern one person.",
    ),
    # --- the legal basis
    Rule(
        "legal-basis.not-single",
        "Dataset yang diminta tidak memiliki satu dasar hukum yang sama.",
        "The datasets asked for share no single legal basis.",
    ),
    # --- the consent
    Rule(
        "consent.subject-missing",
        "Dasar hukumnya persetujuan, tetapi permintaan tidak menyangkut satu orang tertentu.",
        "The legal basis is consent, but the request concerns no single person.",
    ),
    Rule(
        "consent.required",
        "Subjek data belum memberikan persetujuan untuk tujuan {purpose}.",
        "The data subject has not given consent for the purpose {purpose}.",
    ),
    Rule(
        "consent.refused",
        "Subjek data menolak memberikan persetujuan untuk tujuan {purpose}.",
        "The data subject refused consent for the purpose {purpose}.",
    ),
    Rule(
        "consent.withdrawn",
        "Subjek data telah menarik persetujuannya untuk tujuan {purpose}.",
        "The data subject has withdrawn consent for the purpose {purpose}.",
    ),
    Rule(
        "consent.not-yet-valid",
        "Persetujuan untuk tujuan {purpose} belum berlaku.",
        "The consent for the purpose {purpose} is not yet in force.",
    ),
    Rule(
        "consent.expired",
        "Masa berlaku persetujuan untuk tujuan {purpose} telah habis.",
        "The consent for the purpose {purpose} has expired.",
    ),
    Rule(
        "consent.fields-not-covered",
        "Persetujuan tidak mencakup kolom berikut dari {dataset}: {fields}.",
        "The consent does not cover these fields of {dataset}: {fields}.",
    ),
    # --- what changed before the exchange was committed
    Rule(
        "agreement.changed",
        "Perjanjian berubah atau diakhiri sebelum pertukaran data selesai.",
        "The agreement changed or ended before the exchange was committed.",
    ),
    Rule(
        "consent.changed",
        "Persetujuan ditarik atau berubah sebelum pertukaran data selesai.",
        "The consent was withdrawn or changed before the exchange was committed.",
    ),
    # --- what carried an allowance
    Rule(
        "agreement.in-force",
        "Perjanjian {agreement} mencakup {dataset} untuk tujuan {purpose}.",
        "The agreement {agreement} covers {dataset} for the purpose {purpose}.",
    ),
    Rule(
        "quota.available",
        "Kuota harian perjanjian {agreement} masih tersedia.",
        "The daily quota of the agreement {agreement} is not used up.",
    ),
    Rule(
        "consent.in-force",
        "Subjek data telah memberikan persetujuan untuk tujuan {purpose}.",
        "The data subject has given consent for the purpose {purpose}.",
    ),
    Rule(
        "consent.not-needed",
        "Dasar hukumnya {basis}; persetujuan tidak diperlukan.",
        "The legal basis is {basis}; consent is not needed.",
    ),
    Rule(
        "emergency.review-due",
        "Akses darurat demi kepentingan vital; wajib ditinjau kemudian.",
        "Emergency access for a vital interest; it must be reviewed afterwards.",
    ),
)

RULES: dict[str, Rule] = {rule.rule_id: rule for rule in _ALL}


def markdown() -> str:
    """The table of rules for the documentation."""
    head = ["| rule | Bahasa Indonesia | English |", "|---|---|---|"]
    return "\n".join([*head, *(f"| `{r.rule_id}` | {r.indonesian} | {r.english} |" for r in _ALL)]) + "\n"
