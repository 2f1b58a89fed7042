-- The fleet's store.  `batches` is the evidence, byte for byte as it came; every other table
-- can be built again from it.  Times are UTC milliseconds; received_ms is the fleet's clock.

CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

CREATE TABLE batches (
  id INTEGER PRIMARY KEY,
  cabinet TEXT NOT NULL,
  journal BLOB NOT NULL,
  number INTEGER NOT NULL,
  boot INTEGER NOT NULL,
  first_seq INTEGER NOT NULL,
  last_seq INTEGER NOT NULL,
  prev BLOB NOT NULL,
  chain_hash BLOB NOT NULL,           -- SHA-256 of the signed payload
  config BLOB NOT NULL,
  sealed BLOB NOT NULL,
  received_ms INTEGER NOT NULL,
  rolled_up INTEGER NOT NULL,     -- 1 once its quarter parts are in the tables below; 2 =
                                -- received, not booked: its content cannot be read or rolled_up
  whole INTEGER REFERENCES batches (id),    -- of one position of a coarsened batch: the row that
                                -- has its bytes; sealed is empty then.  NULL: these are they
  offset_ms INTEGER,            -- UTC less ticks by the clock it was rolled up with; NULL: not yet
  source INTEGER,               -- and that clock's source
  rolled_ms INTEGER,            -- when that was, by the fleet's clock
  ruled INTEGER NOT NULL DEFAULT 0,     -- 1 once its conflicts with other journals are known
  from_ms INTEGER,              -- first and last of its readings that are not in conflict
  to_ms INTEGER,
  UNIQUE (cabinet, journal, number),
  UNIQUE (cabinet, journal, first_seq)
) STRICT;
CREATE INDEX batches_whole ON batches (whole) WHERE whole IS NOT NULL;
CREATE INDEX batches_waiting ON batches (cabinet) WHERE rolled_up = 0;
CREATE INDEX batches_last ON batches (cabinet, journal, to_ms);
CREATE INDEX batches_first ON batches (cabinet, journal, from_ms);

-- The journals of each cabinet in their order (fleet/rollup/precedence.py), and the time that the
-- readings of each cover which count by their own right.
CREATE TABLE journals (
  cabinet TEXT NOT NULL,
  journal BLOB NOT NULL,
  rank INTEGER NOT NULL,
  arrived INTEGER NOT NULL,     -- id of the first batch that came of it
  explained INTEGER NOT NULL,   -- 1: a hand-over names it
  first_ms INTEGER,
  last_ms INTEGER,
  real INTEGER NOT NULL,        -- 1: dated by a clock that is no simulation's
  PRIMARY KEY (cabinet, journal)
) STRICT, WITHOUT ROWID;

-- Of a batch: time that another journal (rival) covers; both ends included.
CREATE TABLE conflicts (
  cabinet TEXT NOT NULL,
  batch INTEGER NOT NULL REFERENCES batches (id),
  from_ms INTEGER NOT NULL,
  to_ms INTEGER NOT NULL,
  rival BLOB NOT NULL,
  PRIMARY KEY (batch, from_ms)
) STRICT, WITHOUT ROWID;
CREATE INDEX conflicts_end ON conflicts (cabinet, to_ms);
-- What is not counted for that, or because a decision says so; both ends included.
CREATE TABLE set_aside (
  cabinet TEXT NOT NULL,
  to_ms INTEGER NOT NULL,
  from_ms INTEGER NOT NULL,
  batch INTEGER NOT NULL REFERENCES batches (id),
  journal BLOB NOT NULL,
  rival BLOB NOT NULL,
  decision INTEGER,             -- its number; NULL: nobody has decided
  PRIMARY KEY (cabinet, to_ms, batch, from_ms)
) STRICT, WITHOUT ROWID;
CREATE INDEX set_aside_batch ON set_aside (batch);

-- Which journal counts for which time, as a person decided (fleet/formats/decision.py).  Rows are
-- only ever added.
CREATE TABLE decisions (
  cabinet TEXT NOT NULL,
  number INTEGER NOT NULL,
  signed BLOB NOT NULL,
  PRIMARY KEY (cabinet, number)
) STRICT, WITHOUT ROWID;

-- Quarter hours as reports gave them, each time that they gave another figure (bounded).
CREATE TABLE issued (
  cabinet TEXT NOT NULL,
  quarter_ms INTEGER NOT NULL,
  version INTEGER NOT NULL,     -- from 1
  issued_ms INTEGER NOT NULL,
  from_ms INTEGER NOT NULL,     -- of the report's period: its battery's books begin from there
  factors TEXT NOT NULL,        -- SHA-256 of the factor set, hex
  figures TEXT NOT NULL,        -- JSON: {"wh": {role: Wh}, "g": g}
  PRIMARY KEY (cabinet, quarter_ms, version)
) STRICT, WITHOUT ROWID;

-- How far a journal is stored without a hole: what receipts say.
CREATE TABLE chains (
  cabinet TEXT NOT NULL,
  journal BLOB NOT NULL,
  low_water INTEGER NOT NULL,
  chain_hash BLOB NOT NULL,
  number INTEGER NOT NULL,      -- batch that ends there; start - 1 when none
  PRIMARY KEY (cabinet, journal)
) STRICT, WITHOUT ROWID;

CREATE TABLE configs (
  cabinet TEXT NOT NULL,
  hash BLOB NOT NULL,
  descriptor BLOB NOT NULL,
  first_ms INTEGER,
  PRIMARY KEY (cabinet, hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE clocks (
  cabinet TEXT NOT NULL,
  journal BLOB NOT NULL,
  boot INTEGER NOT NULL,
  source INTEGER NOT NULL,
  anchor_ticks_ms INTEGER NOT NULL,
  anchor_utc_ms INTEGER NOT NULL,
  uncertainty_ms INTEGER NOT NULL,
  number INTEGER NOT NULL,      -- batch that told it
  PRIMARY KEY (cabinet, journal, boot)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
  cabinet TEXT NOT NULL,
  journal BLOB NOT NULL,
  seq INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  utc_ms INTEGER NOT NULL,
  body BLOB NOT NULL,           -- CBOR, as in the record
  PRIMARY KEY (cabinet, journal, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX events_by_kind ON events (cabinet, kind, utc_ms);

CREATE TABLE channels (
  id INTEGER PRIMARY KEY,
  cabinet TEXT NOT NULL,
  stream TEXT NOT NULL,
  item TEXT NOT NULL,
  measurand INTEGER NOT NULL,
  exponent INTEGER NOT NULL,
  UNIQUE (cabinet, stream, item, measurand, exponent)
) STRICT;

CREATE TABLE counter_parts (
  channel INTEGER NOT NULL,
  quarter_ms INTEGER NOT NULL,
  batch INTEGER NOT NULL,
  first_ms INTEGER NOT NULL,
  first INTEGER NOT NULL,
  last_ms INTEGER NOT NULL,
  last INTEGER NOT NULL,
  broken INTEGER NOT NULL,
  PRIMARY KEY (channel, quarter_ms, batch)
) STRICT, WITHOUT ROWID;

CREATE TABLE gauge_parts (
  channel INTEGER NOT NULL,
  quarter_ms INTEGER NOT NULL,
  batch INTEGER NOT NULL,
  count INTEGER NOT NULL,
  total INTEGER NOT NULL,
  low INTEGER NOT NULL,
  high INTEGER NOT NULL,
  last_ms INTEGER NOT NULL,
  last INTEGER NOT NULL,
  PRIMARY KEY (channel, quarter_ms, batch)
) STRICT, WITHOUT ROWID;

-- Scans of a cabinet in a quarter hour: how many, and how many of them without any value.
CREATE TABLE scan_parts (
  cabinet TEXT NOT NULL,
  quarter_ms INTEGER NOT NULL,
  stream TEXT NOT NULL,
  batch INTEGER NOT NULL,
  count INTEGER NOT NULL,
  absent INTEGER NOT NULL,
  uncertainty_ms INTEGER NOT NULL,
  PRIMARY KEY (cabinet, quarter_ms, stream, batch)
) STRICT, WITHOUT ROWID;

-- What was not admitted, newest kept (bounded), and how often each reason came up.
CREATE TABLE refused (
  id INTEGER PRIMARY KEY,
  received_ms INTEGER NOT NULL,
  cabinet TEXT NOT NULL,
  code TEXT NOT NULL,
  detail TEXT NOT NULL,
  sha256 BLOB NOT NULL,
  size INTEGER NOT NULL
) STRICT;
CREATE TABLE refused_counts (
  cabinet TEXT NOT NULL,
  code TEXT NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (cabinet, code)
) STRICT, WITHOUT ROWID;

-- The Merkle log (fleet/transparency): leaf idx is the idx-th batch that was admitted, from 0.
-- Rows are only ever added.  tree_nodes: node (level, position) covers 2^level leaves from
-- position * 2^level on; level 0 holds the hashes of the leaves.
CREATE TABLE leaves (
  idx INTEGER PRIMARY KEY,
  batch INTEGER NOT NULL UNIQUE REFERENCES batches (id),
  received_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE tree_nodes (
  level INTEGER NOT NULL,
  position INTEGER NOT NULL,
  hash BLOB NOT NULL,
  PRIMARY KEY (level, position)
) STRICT, WITHOUT ROWID;

-- What a person should know (fleet/store/incidents.py): one row for each kind and position, counted.
CREATE TABLE incidents (
  cabinet TEXT NOT NULL,
  journal BLOB NOT NULL,
  kind TEXT NOT NULL,
  position TEXT NOT NULL,
  first_seq INTEGER NOT NULL,
  last_seq INTEGER NOT NULL,
  detail TEXT NOT NULL,
  count INTEGER NOT NULL,
  first_ms INTEGER NOT NULL,
  last_ms INTEGER NOT NULL,
  PRIMARY KEY (cabinet, journal, kind, position)
) STRICT, WITHOUT ROWID;
-- Batches that the right key signed and that were refused: the other side of a fork.
CREATE TABLE quarantine (
  id INTEGER PRIMARY KEY,
  cabinet TEXT NOT NULL,
  code TEXT NOT NULL,
  sha256 BLOB NOT NULL UNIQUE,
  sealed BLOB NOT NULL
) STRICT;
CREATE INDEX refused_by_hash ON refused (sha256);
