"""Rules for AG-UI event streams, judging by signed votes, and balancing. Pure."""
