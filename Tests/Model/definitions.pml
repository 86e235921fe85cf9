/* definitions.pml - what the models share: small sets, and how a run is told.
 *
 * A set of members is a bit mask. Every d_step leaves the scratch variables at 0, so that they never tell two
 * states apart.
 */
#define HAS(set, x) (((set) >> (x)) & 1)
#define SIZE(set) (HAS(set, 0) + HAS(set, 1) + HAS(set, 2) + HAS(set, 3) + HAS(set, 4))
#define MAJORITY(set) (SIZE(set) / 2 + 1)
#define UNSET 255

/* A loop over 0 ..< limit in which `break` is not used: FOR(i, N) ... END(i) */
#define FOR(x, limit) x = 0; do :: x < (limit) ->
#define END(x) x++ :: else -> break od; x = 0
/* A statement guarded by a condition, with nothing to do otherwise. */
#define WHEN(condition) if :: condition ->
#define DONE :: else fi

/* An invariant, with its name for the table of runs. */
#define MUST(condition, name) \
  if :: condition -> skip :: else -> printf(name); assert(false) fi

byte i, k, m, c, q, ok;
