"""Drafts of the notice of UU 27/2022 Art. 46: what was disclosed, when and how, and what is done about it."""

from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from audit.breach import Breach

__all__ = ["notices"]

_LOCAL = ZoneInfo("Asia/Jakarta")

_INDONESIAN = """# RANCANGAN: Pemberitahuan kegagalan pelindungan data pribadi

(UU 27/2022 Pasal 46; lengkapi bagian dalam kurung siku, lalu ditandatangani pengendali data)

Kepada: [subjek data yang terdampak] dan [lembaga pelindungan data pribadi]

- Diketahui: {discovered}
- Batas pemberitahuan tertulis (3 x 24 jam): **{due}**

## a. Data pribadi yang terungkap

{subjects} orang terdampak dalam {exchanges} pertukaran.

{fields}
{batches}
## b. Kapan dan bagaimana data terungkap

Antara {first} dan {last}. [Uraikan bagaimana terjadinya.]

Penerima: {receivers}. Sistem yang dipakai: {systems}. Tujuan yang dinyatakan: {purposes}.

## c. Upaya penanganan dan pemulihan

[Uraikan: kredensial yang dicabut, akses yang ditutup, data yang ditarik kembali, bantuan bagi subjek.]

Narahubung: [nama pejabat pelindungan data pribadi, telepon, alamat].
"""
_ENGLISH = """# DRAFT: Notice of a failure to protect personal data

(UU 27/2022 Article 46; complete what stands in brackets; to be signed by the data controller)

To: [the data subjects concerned] and [the personal data protection body]

- Discovered: {discovered}
- Written notice is due (3 x 24 hours): **{due}**

## a. Personal data that was disclosed

{subjects} persons are concerned, in {exchanges} exchanges.

{fields}
{batches}
## b. When and how it was disclosed

Between {first} and {last}. [Say how it happened.]

Receivers: {receivers}. Systems used: {systems}. Purposes stated: {purposes}.

## c. What is done to handle it and to recover

[Say: credentials withdrawn, access closed, data recalled, help for those concerned.]

Contact: [name of the data protection officer, telephone, address].
"""
_NONE = {"id": "tidak tercatat", "en": "not on record"}
_BATCHES = {
    "id": "- {dataset}: {count} catatan dalam sinkronisasi massal (orangnya tidak dihitung satu per satu)\n",
    "en": "- {dataset}: {count} records in bulk syncs (whose persons are not counted one by one)\n",
}


def notices(breach: "Breach", discovered: datetime, due: datetime) -> dict[str, str]:
    """The notice by language; it names nobody."""
    return {
        language: template.format(
            discovered=_moment(discovered),
            due=_moment(due),
            subjects=len(breach.subjects),
            exchanges=len(breach.entries),
            fields="".join(f"- {name}\n" for name in sorted(breach.fields)) or f"- {_NONE[language]}\n",
            batches="".join(
                _BATCHES[language].format(dataset=dataset, count=count)
                for dataset, count in sorted(breach.batch_records.items())
            ),
            first=_moment(datetime.fromisoformat(breach.first)) if breach.first else "–",
            last=_moment(datetime.fromisoformat(breach.last)) if breach.last else "–",
            receivers=_named(breach.receivers, language),
            systems=_named(breach.systems, language),
            purposes=_named(breach.purposes, language),
        )
        for language, template in (("id", _INDONESIAN), ("en", _ENGLISH))
    }


def _named(names: "dict[str, int]", language: str) -> str:
    return ", ".join(sorted(names)) or _NONE[language]


def _moment(moment: datetime) -> str:
    return moment.astimezone(_LOCAL).strftime("%Y-%m-%d %H:%M WIB")
