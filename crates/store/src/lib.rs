//! Entity history in an embedded database: one file, changed in transactions, of which each writes only what changed.
