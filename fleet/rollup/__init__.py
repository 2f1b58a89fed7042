"""From batches to quarter hours: rollup, reduction, configuration history."""
