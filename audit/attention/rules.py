"""The rules: what each measures, from which value on it flags, and how far a verdict may move that.

Each rule is one set-based query over the facts. It gives candidates: agency, who, purpose, score, and the
entries that the score rests on. Only groups that got a new entry are measured again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

__all__ = ["RULES", "Rule"]

CEILING = 4.0
"""No verdict moves a threshold to more than this many times its default: a rule is never off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule that watches access.

    Attributes:
        name: Its name in flags and entries.
        summary: What it flags, for people.
        measures: What the score counts.
        threshold: From which score on it flags.
        floor: Least threshold that verdicts may lead to.
        is_whole: Whether the score is a whole number.
        query: Its candidates.
        parameters: What the query needs besides.
        is_about_a_subject: Whether what it learns is about a person looked up, not about who looked.
    """

    name: str
    summary: str
    measures: str
    threshold: float
    floor: float
    is_whole: bool = True
    query: str = field(repr=False)
    parameters: dict[str, Any] = field(default_factory=dict)
    is_about_a_subject: bool = False

    @property
    def ceiling(self) -> float:
        """The highest threshold that verdicts may lead to."""
        return self.threshold * CEILING

    def raised(self, present: float, score: float) -> float:
        """The threshold after a flag was found justified: a quarter above what was seen, within bounds."""
        wanted = score * 1.25
        wanted = math.floor(wanted) + 1 if self.is_whole else wanted
        return min(self.ceiling, max(present, wanted))

    def lowered(self, present: float) -> float:
        """The threshold after misuse: a fifth lower, within bounds."""
        wanted = present * 0.8
        return max(self.floor, math.floor(wanted) if self.is_whole else wanted)


_NO_CASE = """
WITH touched AS (
    SELECT DISTINCT agency, who, purpose, local_day FROM audit.attention_access
     WHERE entry_index >= %(since)s AND has_case = false
)
SELECT agency, who, purpose, count(*)::float8, array_agg(entry_index ORDER BY entry_index), NULL::bytea
  FROM audit.attention_access JOIN touched USING (agency, who, purpose, local_day)
 WHERE has_case = false
 GROUP BY agency, who, purpose, local_day
HAVING count(*) >= %(floor)s
"""

_BULK = """
WITH touched AS (
    SELECT DISTINCT agency, who, bucket
      FROM audit.attention_access,
           LATERAL (VALUES (floor(extract(epoch FROM at) / 300)::bigint),
                           (floor(extract(epoch FROM at) / 300)::bigint - 1)) AS buckets (bucket)
     WHERE entry_index >= %(since)s AND is_access AND is_officer = %(officers)s
), measured AS (
    SELECT t.agency, t.who, t.bucket, count(DISTINCT s.subject) AS subjects
      FROM touched t
      JOIN audit.attention_access a ON a.agency = t.agency AND a.who = t.who AND a.is_access
       AND a.at >= to_timestamp(t.bucket * 300) AND a.at < to_timestamp(t.bucket * 300 + 600)
      JOIN audit.attention_subject s USING (entry_index)
     GROUP BY t.agency, t.who, t.bucket
    HAVING count(DISTINCT s.subject) >= %(floor)s
), islands AS (
    SELECT *, bucket - row_number() OVER (PARTITION BY agency, who ORDER BY bucket) AS island FROM measured
), spans AS (
    SELECT agency, who, max(subjects) AS subjects, to_timestamp(min(bucket) * 300) AS since,
           to_timestamp(max(bucket) * 300 + 600) AS until
      FROM islands GROUP BY agency, who, island
)
SELECT p.agency, p.who, mode() WITHIN GROUP (ORDER BY a.purpose), p.subjects::float8,
       array_agg(a.entry_index ORDER BY a.entry_index), NULL::bytea
  FROM spans p
  JOIN audit.attention_access a ON a.agency = p.agency AND a.who = p.who AND a.is_access
   AND a.at >= p.since AND a.at < p.until
 GROUP BY p.agency, p.who, p.since, p.subjects
"""

_ODD_HOURS = """
WITH odd AS (
    SELECT *, ((at AT TIME ZONE 'Asia/Jakarta') - interval '12 hours')::date AS night
      FROM audit.attention_access
     WHERE is_access AND is_officer AND (is_off OR hour < 6 OR hour >= 20)
       AND at >= %(from)s::timestamptz - interval '1 day'
), touched AS (
    SELECT DISTINCT agency, who, purpose, night FROM odd WHERE entry_index >= %(since)s
)
SELECT agency, who, purpose, count(*)::float8, array_agg(entry_index ORDER BY entry_index), NULL::bytea
  FROM odd JOIN touched USING (agency, who, purpose, night)
 GROUP BY agency, who, purpose, night
HAVING count(*) >= %(floor)s
"""

_RATE = """
WITH touched AS (
    SELECT DISTINCT agency, who, local_day, weekday, hour FROM audit.attention_access
     WHERE entry_index >= %(since)s AND is_access AND is_officer
), hours AS (
    SELECT agency, who, local_day, weekday, hour, count(*) AS accesses,
           array_agg(entry_index ORDER BY entry_index) AS entries,
           mode() WITHIN GROUP (ORDER BY purpose) AS purpose
      FROM audit.attention_access
     WHERE is_access AND is_officer
       AND local_day >= (SELECT min(local_day) - 28 FROM touched)
       AND local_day <= (SELECT max(local_day) FROM touched)
       AND (agency, weekday, hour) IN (SELECT agency, weekday, hour FROM touched)
     GROUP BY agency, who, local_day, weekday, hour
), busy AS (
    SELECT hours.* FROM hours JOIN touched USING (agency, who, local_day, weekday, hour)
     WHERE accesses >= %(least)s
), measured AS (
    SELECT b.*, middle.median, middle.peers, spread.mad
      FROM busy b,
           LATERAL (SELECT array_agg(p.accesses) AS counts FROM hours p
                     WHERE p.agency = b.agency AND p.weekday = b.weekday AND p.hour = b.hour
                       AND p.who <> b.who
                       AND p.local_day BETWEEN b.local_day - 28 AND b.local_day) AS others,
           LATERAL (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY n) AS median, count(*) AS peers
                      FROM unnest(others.counts) AS n) AS middle,
           LATERAL (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(n - middle.median)) AS mad
                      FROM unnest(others.counts) AS n) AS spread
)
SELECT agency, who, purpose, 0.6745 * (accesses - median) / greatest(mad, 1.0) AS score, entries, NULL::bytea
  FROM measured
 WHERE peers >= %(peers)s AND 0.6745 * (accesses - median) / greatest(mad, 1.0) >= %(floor)s
"""

_CELEBRITY = """
WITH touched AS (
    SELECT s.subject, max(a.at) AS until
      FROM audit.attention_access a JOIN audit.attention_subject s USING (entry_index)
     WHERE a.entry_index >= %(since)s AND a.is_officer
     GROUP BY s.subject
)
SELECT '' AS agency, '' AS who, '' AS purpose, count(DISTINCT (a.agency, a.who))::float8,
       array_agg(a.entry_index ORDER BY a.entry_index), t.subject
  FROM touched t
  JOIN audit.attention_subject s USING (subject)
  JOIN audit.attention_access a USING (entry_index)
 WHERE a.is_officer AND a.at > t.until - interval '7 days' AND a.at <= t.until
 GROUP BY t.subject
HAVING count(DISTINCT (a.agency, a.who)) >= %(floor)s
"""

_RELATED = """
WITH looked AS MATERIALIZED (
    SELECT a.entry_index, a.agency, a.who, a.purpose, a.local_day,
           a.who = 'officer:' || r.officer AS own, r.relation
      FROM audit.attention_related r
      JOIN audit.attention_subject s ON s.subject = r.index_key
      JOIN audit.attention_access a ON a.entry_index = s.entry_index AND a.agency = r.agency AND a.is_officer
), of_rule AS (
    SELECT DISTINCT entry_index, agency, who, purpose, local_day FROM looked
     WHERE own = %(own)s AND (own OR relation = 'self')
)
SELECT agency, who, purpose, count(*)::float8, array_agg(entry_index ORDER BY entry_index), NULL::bytea
  FROM of_rule
 GROUP BY agency, who, purpose, local_day
HAVING count(*) >= %(floor)s AND max(entry_index) >= %(since)s
"""

_DUPLICATE = """
WITH touched AS (
    SELECT DISTINCT id
      FROM audit.attention_access, LATERAL (VALUES (decision), (answer)) AS ids (id)
     WHERE entry_index >= %(since)s AND id IS NOT NULL
), held AS (
    SELECT decision AS id, entry_index, agency, who, purpose FROM audit.attention_access
     WHERE decision IN (SELECT id FROM touched)
    UNION ALL
    SELECT answer, entry_index, agency, who, purpose FROM audit.attention_access
     WHERE answer IN (SELECT id FROM touched)
), doubled AS (
    SELECT count(DISTINCT entry_index) AS times, array_agg(DISTINCT entry_index) AS entries FROM held
     GROUP BY id HAVING count(DISTINCT entry_index) >= %(floor)s
)
SELECT last.agency, last.who, last.purpose, max(d.times)::float8, d.entries, NULL::bytea
  FROM doubled d
  JOIN audit.attention_access last ON last.entry_index = d.entries[array_upper(d.entries, 1)]
 GROUP BY last.agency, last.who, last.purpose, d.entries
"""

_SKEW = """
WITH touched AS (
    SELECT DISTINCT agency, who, local_day FROM audit.attention_access
     WHERE entry_index >= %(since)s AND abs(skew) >= %(floor)s
)
SELECT agency, who, '' AS purpose, max(abs(skew)), array_agg(entry_index ORDER BY entry_index), NULL::bytea
  FROM audit.attention_access JOIN touched USING (agency, who, local_day)
 WHERE abs(skew) >= %(floor)s
 GROUP BY agency, who, local_day
"""

RULES = {
    rule.name: rule
    for rule in (
        Rule(
            name="no-case",
            summary="looked up without naming a case",
            measures="look-ups a day without a case",
            threshold=1,
            floor=1,
            query=_NO_CASE,
        ),
        Rule(
            name="bulk-officer",
            summary="an officer looked up many different people in a short time",
            measures="different people within ten minutes",
            threshold=25,
            floor=12,
            query=_BULK,
            parameters={"officers": True},
        ),
        Rule(
            name="bulk-system",
            summary="a system, with no officer named, looked up many different people in a short time",
            measures="different people within ten minutes",
            threshold=300,
            floor=100,
            query=_BULK,
            parameters={"officers": False},
        ),
        Rule(
            name="odd-hours",
            summary="an officer looked people up at night, on a weekend or on a holiday",
            measures="look-ups in one night or free day",
            threshold=3,
            floor=1,
            query=_ODD_HOURS,
        ),
        Rule(
            name="rate",
            summary="an officer looked up far more than colleagues at that hour of that weekday",
            measures="robust z-score (median, MAD) against peers of four weeks",
            threshold=5.0,
            floor=3.5,
            is_whole=False,
            query=_RATE,
            parameters={"least": 10, "peers": 8},
        ),
        Rule(
            name="celebrity",
            summary="one person was looked up by unusually many officers",
            measures="different officers within seven days",
            threshold=6,
            floor=4,
            query=_CELEBRITY,
            is_about_a_subject=True,
        ),
        Rule(
            name="related",
            summary="an officer looked up their own record or a relative's",
            measures="look-ups a day",
            threshold=1,
            floor=1,
            query=_RELATED,
            parameters={"own": True},
        ),
        Rule(
            name="colleague",
            summary="an officer looked up the record of a colleague",
            measures="look-ups a day",
            threshold=1,
            floor=1,
            query=_RELATED,
            parameters={"own": False},
        ),
        Rule(
            name="duplicate-id",
            summary="two answers bear the same id",
            measures="entries with one id",
            threshold=2,
            floor=2,
            query=_DUPLICATE,
        ),
        Rule(
            name="clock-skew",
            summary="an entry says another time than the machine had when it was written",
            measures="seconds",
            threshold=120.0,
            floor=30.0,
            is_whole=False,
            query=_SKEW,
        ),
    )
}
