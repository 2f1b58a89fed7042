"""Bytes: CBOR, COSE, checksums, frames and the columns of a sealed batch."""
