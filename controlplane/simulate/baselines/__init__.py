"""Placement policies known from papers, told anew in the simulator's terms, to be measured against."""
