"""The fleet's Merkle log: trees, proofs, signed heads."""
