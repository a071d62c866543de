"""From a table of paired packets to crossings: packets as rules and people look at them. Pure."""
