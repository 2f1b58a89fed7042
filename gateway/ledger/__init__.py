"""Pure accounting: intervals of a site become flows, flows carbon, carbon compute figures.

Energies in Wh at the AC bus, factors in g/kWh, carbon in g.  Functions work on floats and on
fractions.Fraction alike (tests check the identities exactly).  None means undefined, never 0.
"""
