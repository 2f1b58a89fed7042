"""What is signed: batches and their chain, receipts, hand-overs, downsampled batches."""
