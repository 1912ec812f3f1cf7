"""HTTP: routes, wire types, negotiation, problems and middleware."""
