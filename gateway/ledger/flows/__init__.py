"""Where each watt-hour came from and went: balance, attribution, supply, battery inventory."""
