"""A program of agents in several threads and processes, which writes down for itself what ran."""
