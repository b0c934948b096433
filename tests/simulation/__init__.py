"""The whole operator in one process under virtual time, over a cluster and remotes in memory: one seed, one story.

What decides is the real code: store, status writer, audit, controller, reconcilers, ownership, connections and clients. What
is around it is made up: an API server whose watches lag, break and are caught up with; two of each remote, which refuse, fail,
lose answers, answer so that nobody understands, promote, and are changed or made anew behind the operator's back; connections
that lead elsewhere or are deleted together with all that uses them; and operator processes that die between any two side
effects. At every side effect the invariants are checked (`invariants`), and at the end of the story, when all trouble is over,
everything must be as the specs say.

A seed tells everything: the same one plays the same story again.
"""
