"""A simulator of the Bifrost AI gateway, as far as it is about the governance of models.

It is as strict as real gateways are, release by release (releases.py says what they differ in); one of no release but of a
generation is what `VERSIONS` says. What is easy to miss about them, and the test that holds it:

- In tests/contract/test_bifrost_quirks.py, which a real gateway of v1.4.19 and one of v1.5.16 pass as well: null for an empty
  list; the dashboard at unknown paths, methods and slashes; orders, pages and wildcards; the keys that items and errors have
  besides; words, quarters, and durations of nothing or too much; the scope of users; conflicts, renaming and posts at once;
  names in other letters, names of fields in any case, byte order marks; what is stale in memory; the wording.
- In test_bifrost_gateway.py, on the same gateways: budgets in part, and what is absent, null or of another type.
- In test_bifrost_writes.py, as no client can bring it about: inherited usage, a locked database, overrides, virtual keys that
  go, and the rules of generation 3.
- In test_bifrost_control.py: logins, sessions and cookies, the version that is not public, and the start that fails.
- In test_bifrost_simulator.py: all fields, a gateway without the endpoint, and each release's differences.

Not simulated: how long a login takes, what enforcement makes of a row, and that a release older than v1.4.5 has no endpoint
unless `set_governance` says so.
"""
