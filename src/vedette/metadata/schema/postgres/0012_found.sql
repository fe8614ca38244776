-- By `line` alone these indices looked as good as the key to the planner where a line was new since
-- its statistics, and it then read the whole line for every file. A query names its index by the
-- words that it has for the line (see `dialect`), and no other fits them.
CREATE INDEX live_from_own ON live((-line), from_seq);
CREATE INDEX live_datum_own ON live((~line), datum) WHERE datum IS NOT NULL;
CREATE INDEX past_from_own ON past((-line), from_seq);
CREATE INDEX past_to_own ON past((~line), to_seq);
-- phase: post
DROP INDEX live_from, live_datum, past_from, past_to;
ALTER INDEX live_from_own RENAME TO live_from;
ALTER INDEX live_datum_own RENAME TO live_datum;
ALTER INDEX past_from_own RENAME TO past_from;
ALTER INDEX past_to_own RENAME TO past_to;
