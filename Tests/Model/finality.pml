/* finality.pml - what is final stays final, through view changes, crashes, joins and lost disks.
 *
 * The protocol of DESIGN.md, sections 3, 4 and 7. A slot is an origin: a node in one incarnation. A node that comes back
 * as a new origin comes back as another slot.
 *
 *   FINALITY      all replicas that ever report t final have the same entries at or below t
 *   BELOW         no entry with a stamp at or below a reported final is written later, but in a tail that is void
 *   ONE VALUE     at most one value is decided per view
 *   ACKNOWLEDGED  what a majority of view v has acked is in the base of view v + 1
 *   HELD          who enters view v has all that was reported final before v
 *   UNWEDGED      (WEDGE) while ballots are left, no wedge is for ever: checked where no step is possible any more
 *
 * What is abstracted, and why a counterexample is not lost by it:
 *   - Messages are facts that may be heard at any later time or never: loss, delay, duplication, any order.
 *   - Of beats and acks only the highest of a view is kept: a lower one allows nothing that it does not.
 *   - A beat names no prefix; instead FINAL wants just the entries at or below t held and acked, which is less than the
 *     prefix that a beat covers. So the model reports final whenever the protocol may, and sometimes sooner.
 *   - Any replica may report any t again and again: what one has reported before need not be kept, nor lost in a crash.
 *   - The clock ceiling is the highest beat itself, not 200 ms more: a lower ceiling means a lower floor.
 *   - A stamp is any number above the last one and the last beat: clocks may be arbitrarily wrong.
 *   - PREPARE is not there: a member may promise any ballot at any time. Proposers have no state but what was sent, so
 *     one that crashes is one that sends nothing more (REUSED_BALLOT and WEDGE are about those that do).
 *   - A PROMISE's ack vector and ceiling are not copied: they stand still while its sender is wedged.
 *   - A crash loses what was received and not synced. All else was durable before it was sent, so that a restart at any
 *     point of a view change goes on where it was. Each of the mutations *_NOT_DURABLE takes one such rule away.
 *   - Not here: quarantine, checkpoints, equivocation, the lease (a courtesy), failure detection (any seal may be tried
 *     at any time), what entries mean (resubmission.pml).
 *
 * Mutations, each of which one run must catch:
 *   LOCAL_CLOCKS_ONLY         final by everybody's beats and what is held here, without a majority's acks
 *   NO_WEDGE                  who has promised goes on with beats and acks
 *   WEDGE_TIMES_OUT           a member wedged for long goes on as if it had not promised
 *   NO_TAKEOVER               nobody proposes but the first proposer: an abandoned wedge does not end
 *   NO_FLUSH                  a view is entered without its base
 *   BEAT_BEFORE_PREFIX        a beat counts before the prefix that it names is held
 *   UNTAGGED_BEATS            beats count in every view, and a wedge does not stop them
 *   JOINER_BELOW_FLOOR        a joiner's stamps start anywhere
 *   FLOOR_NOT_CARRIED         each floor is computed from the promises alone
 *   IGNORE_ACCEPTED           a proposer does not adopt a value that a promise reports as accepted
 *   REUSED_BALLOT             a proposer forgets its ballot in a crash and runs it again
 *   ACK_BEFORE_FSYNC          and a crash
 *   PROMISE_NOT_DURABLE       and a crash
 *   CEILING_NOT_DURABLE       and a crash
 *   OLD_INCARNATION_KEPT      who has lost its disk goes on as the same origin
 *   LOSS_SEEN_BY_LOG_ONLY     who has lost its disk goes on as the same origin if nobody holds any of its log
 *   ADMISSION_WITHOUT_TOKEN   a node with a new disk takes the decision that admitted its old one for its own
 * Variants that must not break anything: REPORTS_DISK, a PROMISE reports what is on the disk, acked or not;
 * BASE_NOT_CARRIED, bases come from the promises alone (who promises holds the last base, so nothing is missing);
 * STEPWISE, see below.
 */
#include "definitions.pml"

/* ---- configurations ---------------------------------------------------------------------------------------- */

#ifdef CHANGE      /* one change among three, two ballots: member 2 is sealed, or 1, or nobody */
#define REACHED entries[2] == 1 && !MEMBER(2, 1) && base[BASE(1, 2)] == 1 && finalView[1] == 1
#define N 3
#define V0 7
#define LAST 1
#ifndef BALLOTS
#define BALLOTS 2
#endif
#define FIRST_A 3
#define SECOND_A 7
#define SECOND_B 5
#ifndef ISSUERS
#define ISSUERS 4
#endif
#endif

#ifdef JOIN        /* a node joins three */
#define REACHED entries[3] == 1 && finalView[1] == 1
#define N 4
#define V0 7
#define LAST 1
#define FIRST_A 15
#define ABSTRACT
#define CRASHES 0
#ifndef ISSUERS
#define ISSUERS 9
#endif
#endif

#ifdef FLOORS      /* two grow to three, then to four: the last joiner must respect the finality of view 0 */
#define REACHED entries[3] == 1 && finalView[1] == 2
#define N 4
#define V0 3
#define LAST 2
#define FIRST_A 7
#define NEXT_A 15
#define ABSTRACT
#define CRASHES 0
#ifndef ISSUERS
#define ISSUERS 9
#endif
#endif

#ifdef REJOIN      /* member 2 is sealed, or loses its disk, and comes back as slot 3; in two changes or in one */
#define REACHED HAS(lost, 2) && admitted[3] == 2 && finalView[1] == 2
#define N 4
#define V0 7
#define LAST 2
#define FIRST_A 3
#define FIRST_B 11
#define NEXT_A 11
#define NEXT_B 9
#define LOSSES 1
#define LOSERS 4
#define ABSTRACT
#define CRASHES 0
#ifndef ISSUERS
#define ISSUERS 4
#endif
#endif

#ifdef NEWDISK     /* a joiner loses its disk after it was admitted, and hears of its admission again */
#define REACHED HAS(lost, 2) && finalView[1] == 2
#define N 3
#define V0 3
#define LAST 2
#define FIRST_A 7
#define NEXT_A 6
#define LOSSES 1
#define LOSERS 4
#define ABSTRACT
#define CRASHES 0
#ifndef ISSUERS
#define ISSUERS 1
#endif
#endif

#ifdef WEDGE       /* liveness: proposers die; is there always somebody left to end the wedge? */
#define REACHED HAS(proposerDied[0], 1) && view[0] == 1 && view[1] == 1 && view[2] == 1
#define N 3
#define V0 7
#define LAST 1
#define BALLOTS 3
#define FIRST_A 7
#define SECOND_A 7
#define LIVENESS
#define ISSUERS 0
#endif

/* What CHANGE has step by step, the configurations with more views or members have in one: receiving and fsync, for
 * nobody sees what is not synced; the proposal and its acceptance, for CHANGE shows that there is one value and that
 * it comes from a majority's promises. */
#if defined(ABSTRACT) && !defined(STEPWISE)
#define DECIDED_AT_ONCE
#define SYNCED_AT_ONCE
#endif

#ifndef BALLOTS
#define BALLOTS 1
#endif
#ifndef STAMPS
#define STAMPS 1
#endif
#ifndef ENTRIES
#define ENTRIES 1
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef LOSSES
#define LOSSES 0
#define LOSERS 0
#endif

/* ---- state ------------------------------------------------------------------------------------------------- */

#define VIEWS (LAST + 1)
#define NONE 9                                   /* the view of a slot that has not entered any */
#define AT(j, o) ((j) * N + (o))                 /* j's about o */
#define ACK(v, j, o) (((v) * N + (j)) * N + (o))
#define BEAT(v, o) ((v) * N + (o))
#define VALUE(v, b) ((v) * BALLOTS + (b) - 1)
#define BASE(v, o) ((v) * N + (o))
#define FINAL(t, o) ((t) * N + (o))

/* Durable, of each slot. */
byte view[N];                   /* the newest view entered */
byte promised[N];               /* in that view: the highest ballot promised; above 0: wedged */
byte held[N * N];               /* how much of each log is on the disk */
byte ceiling[N];                /* no beat was ever above it */
byte clock[N];                  /* every later stamp is above it: by the log, the ceiling, and the floor at joining */
/* In memory. */
byte received[N * N];           /* how much of each log has arrived; at least `held` */

/* Facts: what was once said may be heard at any later time, or never. */
byte entries[N];                /* of each origin: how many it has published (after its own fsync) */
byte stamp[N * ENTRIES];
byte beat[VIEWS * N];           /* BEAT_v(o), the highest */
byte ack[VIEWS * N * N];        /* ACK_v(j, o), the highest */
byte promises[LAST * BALLOTS];  /* who has sent PROMISE(v, b) */
byte accepted[LAST * BALLOTS];  /* who has sent ACCEPTED(v, b) */
byte value[LAST * BALLOTS];     /* the members of the value of (v, b); 0: none proposed yet */
byte valueBase[LAST * BALLOTS * N];
byte valueFloor[LAST * BALLOTS];
byte decided[VIEWS];            /* the members of each decided view; 0: not decided */
byte base[VIEWS * N];
byte floor[VIEWS];

/* Ghosts: what only the checker sees. */
byte admitted[N];               /* the view that made a slot a member */
byte final[(STAMPS + 1) * N];   /* for each stamp reported final: how many entries of each origin lie at or below it */
byte finalView[STAMPS + 1];     /* the view in which that was reported first */
byte lost;                      /* slots whose disk is gone */
byte crashes, losses;
#ifdef LIVENESS
byte started[LAST];             /* ballots begun */
byte proposerDied[LAST];
#endif

#define MEMBER(j, v) HAS(decided[v], j)
#define ALIVE(j) (!HAS(lost, j))
#define ACTIVE(j) (view[j] != NONE && ALIVE(j))
#define REMOVED(o, v) (admitted[o] <= (v) && !MEMBER(o, v))
/* Where o's log ends for one who has entered v: a sealed origin's ends at the base, and bases carry it on. */
#define CUT(o, v) (REMOVED(o, v) -> base[BASE(v, o)] : UNSET)

#ifdef NO_WEDGE
#define WEDGED(j) 0
#else
#define WEDGED(j) (promised[j] > 0 && !HAS(gaveUp, j))
#endif
byte gaveUp;                    /* WEDGE_TIMES_OUT only */

/* ---- entries, acks, beats ---------------------------------------------------------------------------------- */

/* An order acknowledged by a majority survives: once v + 1 is decided, its base has all that a majority acked in v. */
inline checkMajorityAcked(v) {
  if
  :: v < LAST && decided[v + 1] != 0 ->
    FOR(i, N)
      FOR(c, ENTRIES)
        q = 0;
        FOR(m, N) WHEN(MEMBER(m, v) && ack[ACK(v, m, i)] > c) q++ DONE; END(m);
        MUST(q < MAJORITY(decided[v]) || base[BASE(v + 1, i)] > c, "ACT: BROKEN ACKNOWLEDGED\n");
      END(c);
    END(i);
    q = 0
  :: else
  fi
}

/* What is on the disk may be acked, unless wedged. */
inline acknowledge(j) {
  if
  :: !WEDGED(j) ->
    FOR(i, N) WHEN(ack[ACK(view[j], j, i)] < held[AT(j, i)]) ack[ACK(view[j], j, i)] = held[AT(j, i)] DONE; END(i);
    checkMajorityAcked(view[j])
  :: else
  fi
}

/* An entry with the stamp s. It is published only when it is on its author's disk, so both are one step here. */
inline issue(o, s) { d_step {
  HAS(ISSUERS, o) && ACTIVE(o) && entries[o] < ENTRIES && clock[o] < s && held[AT(o, o)] == entries[o] ->
  printf("ACT: %d writes entry %d with stamp %d\n", o, entries[o] + 1, s);
  stamp[o * ENTRIES + entries[o]] = s; entries[o]++; clock[o] = s;
  held[AT(o, o)] = entries[o]; received[AT(o, o)] = entries[o];
  /* No stamp at or below a reported final appears later, but in the void tail of a sealed origin. */
  ok = 1;
  FOR(i, VIEWS) WHEN(decided[i] != 0 && REMOVED(o, i)) ok = 0 DONE; END(i);
  FOR(i, STAMPS + 1) MUST(!ok || finalView[i] == UNSET || i < s, "ACT: BROKEN BELOW\n"); END(i);
  ok = 0;
  acknowledge(o)
} }

/* Somebody whose disk is not lost must have it. */
inline receive(j, o) { d_step {
  ACTIVE(j) && received[AT(j, o)] < entries[o] && received[AT(j, o)] < CUT(o, view[j]) ->
  ok = 0;
  FOR(i, N) WHEN(ALIVE(i) && held[AT(i, o)] > received[AT(j, o)]) ok = 1 DONE; END(i);
  if
  :: ok ->
    received[AT(j, o)]++; ok = 0;
    printf("ACT: %d receives entry %d of %d\n", j, received[AT(j, o)], o);
#ifdef SYNCED_AT_ONCE
    held[AT(j, o)] = received[AT(j, o)];
    acknowledge(j)
#endif
#ifdef ACK_BEFORE_FSYNC
    WHEN(!WEDGED(j)) ack[ACK(view[j], j, o)] = received[AT(j, o)]; checkMajorityAcked(view[j]) DONE
#endif
  :: else
  fi
} }

inline sync(j) { d_step {
  ACTIVE(j) ->
  FOR(i, N) WHEN(received[AT(j, i)] > held[AT(j, i)]) ok = 1; held[AT(j, i)] = received[AT(j, i)] DONE; END(i);
  WHEN(ok) printf("ACT: %d syncs its log\n", j) DONE; ok = 0;
  acknowledge(j)
} }

/* A promise up to p, durable as the ceiling first. */
inline sayBeat(o, p) { d_step {
#ifdef UNTAGGED_BEATS
  ACTIVE(o) && clock[o] <= p && beat[BEAT(view[o], o)] < p ->
#else
  ACTIVE(o) && !WEDGED(o) && clock[o] <= p && beat[BEAT(view[o], o)] < p ->
#endif
  printf("ACT: %d beats %d in view %d\n", o, p, view[o]);
  beat[BEAT(view[o], o)] = p; clock[o] = p;
  WHEN(ceiling[o] < p) ceiling[o] = p DONE
} }

/* How much of i's log lies at or below stamp t, of its first `limit` entries. */
#define COUNT(i, t, limit) c = 0; \
  FOR(k, entries[i]) WHEN(k < (limit) && stamp[(i) * ENTRIES + k] <= (t)) c = k + 1 DONE; END(k)

/* FINAL_v(t) at j. Any replica may report any t at any time, again too: after a restart, say. */
inline finalize(j, t) { d_step {
  ACTIVE(j) ->
  ok = 1;
  FOR(i, N)
    WHEN(ok && MEMBER(i, view[j]))
      COUNT(i, t, UNSET);
#ifdef UNTAGGED_BEATS
      FOR(m, VIEWS) WHEN(beat[BEAT(m, i)] >= t) q = 1 DONE; END(m); ok = q;
#else
      WHEN(beat[BEAT(view[j], i)] < t) ok = 0 DONE;
#endif
#ifndef BEAT_BEFORE_PREFIX
      WHEN(held[AT(j, i)] < c) ok = 0 DONE;
#endif
#ifndef LOCAL_CLOCKS_ONLY
      q = 0;
      FOR(m, N) WHEN(MEMBER(m, view[j]) && ack[ACK(view[j], m, i)] >= c) q++ DONE; END(m);
      WHEN(q < MAJORITY(decided[view[j]])) ok = 0 DONE;
#endif
      q = 0; c = 0
    DONE;
  END(i);
  if
  :: ok ->
    ok = 0;
    printf("ACT: %d reports %d final in view %d\n", j, t, view[j]);
    FOR(i, N)
      COUNT(i, t, held[AT(j, i)]);
      WHEN(c > CUT(i, view[j])) c = CUT(i, view[j]) DONE;
      /* Finality never changes. */
      MUST(finalView[t] == UNSET || final[FINAL(t, i)] == c, "ACT: BROKEN FINALITY\n");
      final[FINAL(t, i)] = c; c = 0;
    END(i);
    WHEN(finalView[t] == UNSET) finalView[t] = view[j] DONE
  :: else
  fi
} }

/* What a PROMISE says of m's disk. */
#if defined(REPORTS_DISK)
#define REPORTED(v, m, o) held[AT(m, o)]
#elif defined(ACK_BEFORE_FSYNC)
#define REPORTED(v, m, o) (held[AT(m, o)] < ack[ACK(v, m, o)] -> held[AT(m, o)] : ack[ACK(v, m, o)])
#else
#define REPORTED(v, m, o) ack[ACK(v, m, o)]
#endif

/* ---- the view change --------------------------------------------------------------------------------------- */

/* PROMISE(v, b): from here no beat and no ack in v. Its ack vector and ceiling need no copy: being wedged they stand still. */
inline promise(j, v, b) { d_step {
#ifdef LIVENESS
  ACTIVE(j) && view[j] == v && promised[j] < b && HAS(started[v], b) ->
#else
  ACTIVE(j) && view[j] == v && promised[j] < b ->
#endif
  printf("ACT: %d promises ballot %d in view %d\n", j, b, v);
  promised[j] = b; promises[VALUE(v, b)] = promises[VALUE(v, b)] | (1 << j)
} }

/* Sets `ok`: whether all of a base is on j's disk. */
#define HOLDS(j, vector, offset) ok = 1; \
  FOR(i, N) WHEN(held[AT(j, i)] < vector[offset + i]) ok = 0 DONE; END(i)

/* A majority has accepted the value of (v, b). One value per view. */
inline decide(v, b) {
  MUST(decided[v + 1] == 0 || (decided[v + 1] == value[VALUE(v, b)] && floor[v + 1] == valueFloor[VALUE(v, b)]), "ACT: BROKEN ONE VALUE\n");
  FOR(i, N)
    MUST(decided[v + 1] == 0 || base[BASE(v + 1, i)] == valueBase[VALUE(v, b) * N + i], "ACT: BROKEN ONE VALUE\n");
    base[BASE(v + 1, i)] = valueBase[VALUE(v, b) * N + i];
    WHEN(HAS(value[VALUE(v, b)], i) && admitted[i] == UNSET) admitted[i] = v + 1 DONE;
  END(i);
  decided[v + 1] = value[VALUE(v, b)]; floor[v + 1] = valueFloor[VALUE(v, b)];
  printf("ACT: view %d is decided: members %d, floor %d\n", v + 1, decided[v + 1], floor[v + 1]);
  checkMajorityAcked(v)
}

/* The proposer of ballot b has a majority's promises. All sent so far are used: one not heard is as one not sent. */
inline propose(v, b, members) { d_step {
#ifdef LIVENESS
  !HAS(proposerDied[v], b) &&
#endif
  decided[v] != 0 && value[VALUE(v, b)] == 0 && SIZE(promises[VALUE(v, b)] & decided[v]) >= MAJORITY(decided[v]) ->
  /* Who was a member once and is not now comes back as another slot only. */
  ok = 1;
  FOR(i, N) WHEN(HAS(members, i) && !MEMBER(i, v) && (admitted[i] != UNSET || !ALIVE(i))) ok = 0 DONE; END(i);
  c = 0;                        /* the highest ballot below b in which one of the promisers has accepted */
#ifndef IGNORE_ACCEPTED
  FOR(k, b) WHEN(k > 0 && (accepted[VALUE(v, k)] & promises[VALUE(v, b)]) != 0) c = k DONE; END(k);
#endif
  if
  :: ok && c > 0 ->
    value[VALUE(v, b)] = value[VALUE(v, c)]; valueFloor[VALUE(v, b)] = valueFloor[VALUE(v, c)];
    FOR(i, N) valueBase[VALUE(v, b) * N + i] = valueBase[VALUE(v, c) * N + i]; END(i)
  :: ok && c == 0 ->
    value[VALUE(v, b)] = members;
    q = UNSET;
    FOR(m, N) WHEN(HAS(promises[VALUE(v, b)], m) && ceiling[m] < q) q = ceiling[m] DONE; END(m);
#ifndef FLOOR_NOT_CARRIED
    WHEN(q < floor[v]) q = floor[v] DONE;
#endif
    valueFloor[VALUE(v, b)] = q;
    FOR(i, N)
      q = 0;
#ifndef BASE_NOT_CARRIED
      q = base[BASE(v, i)];
#endif
      FOR(m, N)
        WHEN(HAS(promises[VALUE(v, b)], m) && REPORTED(v, m, i) > q) q = REPORTED(v, m, i) DONE;
      END(m);
      valueBase[VALUE(v, b) * N + i] = q; q = 0;
    END(i)
  :: else
  fi;
  WHEN(ok) printf("ACT: ballot %d in view %d proposes members %d, floor %d\n", b, v, value[VALUE(v, b)], valueFloor[VALUE(v, b)]) DONE;
#ifdef DECIDED_AT_ONCE
  /* A majority accepts at once: those who hold the base. CHANGE has it step by step. */
  FOR(m, N) WHEN(ok && ACTIVE(m) && view[m] == v && MEMBER(m, v)) HOLDS(m, valueBase, VALUE(v, b) * N); q = q + ok; ok = 1 DONE; END(m);
  if
  :: ok && q >= MAJORITY(decided[v]) -> q = 0; decide(v, b)
  :: ok && q < MAJORITY(decided[v]) ->
    value[VALUE(v, b)] = 0; valueFloor[VALUE(v, b)] = 0;
    FOR(i, N) valueBase[VALUE(v, b) * N + i] = 0; END(i)
  :: else
  fi;
#endif
  ok = 0; c = 0; q = 0
} }

inline accept(j, v, b) { d_step {
  ACTIVE(j) && view[j] == v && value[VALUE(v, b)] != 0 && promised[j] <= b && !HAS(accepted[VALUE(v, b)], j) ->
  HOLDS(j, valueBase, VALUE(v, b) * N);
  if
  :: ok ->
    printf("ACT: %d accepts ballot %d in view %d\n", j, b, v);
    promised[j] = b; accepted[VALUE(v, b)] = accepted[VALUE(v, b)] | (1 << j);
    WHEN(SIZE(accepted[VALUE(v, b)] & decided[v]) >= MAJORITY(decided[v])) decide(v, b) DONE
  :: else
  fi;
  ok = 0
} }

/* What was said in a view that nobody is in can be heard by nobody: drop it, for fewer states. */
inline forget() {
#ifndef UNTAGGED_BEATS
  FOR(k, LAST)
    FOR(i, N) WHEN(ACTIVE(i) && view[i] == k) q = 1 DONE; END(i);
    WHEN(decided[k + 1] != 0 && q == 0)
      FOR(i, N) beat[BEAT(k, i)] = 0; FOR(m, N) ack[ACK(k, m, i)] = 0; END(m); END(i);
      FOR(m, BALLOTS)
        promises[k * BALLOTS + m] = 0; accepted[k * BALLOTS + m] = 0; value[k * BALLOTS + m] = 0; valueFloor[k * BALLOTS + m] = 0;
        FOR(i, N) valueBase[(k * BALLOTS + m) * N + i] = 0; END(i);
      END(m)
    DONE;
    q = 0;
  END(k)
#else
  skip
#endif
}

/* DECIDED: by any number of views at once, for bases and cuts carry on. A joiner starts from a snapshot at the base. */
inline enter(j, v) { d_step {
  ALIVE(j) && decided[v] != 0 && MEMBER(j, v) && (view[j] == NONE || view[j] < v) ->
  HOLDS(j, base, v * N);
#ifdef NO_FLUSH
  ok = 1;
#endif
  if
  :: ok || view[j] == NONE ->
    printf("ACT: %d enters view %d\n", j, v);
    if
    :: view[j] == NONE ->
      FOR(i, N) held[AT(j, i)] = base[BASE(v, i)]; received[AT(j, i)] = held[AT(j, i)]; END(i);
#ifndef JOINER_BELOW_FLOOR
      clock[j] = floor[v]
#endif
    :: else
    fi;
    view[j] = v; promised[j] = 0;
    forget();
    FOR(i, N)
      WHEN(received[AT(j, i)] > CUT(i, v)) received[AT(j, i)] = CUT(i, v) DONE;
      WHEN(held[AT(j, i)] > CUT(i, v)) held[AT(j, i)] = CUT(i, v) DONE;
    END(i);
    /* Who may ack in v has all that was ever final before v. */
    FOR(k, STAMPS + 1)
      FOR(i, N) MUST(finalView[k] == UNSET || finalView[k] >= v || held[AT(j, i)] >= final[FINAL(k, i)], "ACT: BROKEN HELD\n"); END(i);
    END(k);
    acknowledge(j)
  :: else
  fi;
  ok = 0
} }

/* ---- faults ------------------------------------------------------------------------------------------------ */

/* Crash and restart. What is in memory is gone; the log, the view record, the promise and the ceiling are not. */
inline crash(j) { d_step {
  ACTIVE(j) && crashes < CRASHES ->
  printf("ACT: %d crashes and restarts\n", j);
  crashes++;
  FOR(i, N) received[AT(j, i)] = held[AT(j, i)]; END(i);
#ifdef PROMISE_NOT_DURABLE
  promised[j] = 0;
#endif
#ifdef CEILING_NOT_DURABLE
  clock[j] = 0;
  WHEN(entries[j] > 0) clock[j] = stamp[j * ENTRIES + entries[j] - 1] DONE;
#endif
#ifdef LIVENESS
  FOR(k, BALLOTS + 1) WHEN(HAS(started[0], k) && k % N == j) proposerDied[0] = proposerDied[0] | (1 << k) DONE; END(k)
#endif
} }

/* The disk is lost. The node may come back, but only as another slot: the old one never speaks again. */
inline loseDisk(j) { d_step {
  ACTIVE(j) && losses < LOSSES && HAS(LOSERS, j) ->
  printf("ACT: %d loses its disk\n", j);
  losses++;
  FOR(i, N) held[AT(j, i)] = 0; received[AT(j, i)] = 0; END(i);
  /* What its PROMISE said stands, if it has sent one. */
  WHEN(promised[j] == 0) ceiling[j] = 0 DONE;
  promised[j] = 0; clock[j] = 0;
#if defined(OLD_INCARNATION_KEPT)
  skip
#elif defined(LOSS_SEEN_BY_LOG_ONLY)
  WHEN(entries[j] > 0) lost = lost | (1 << j) DONE
#elif defined(ADMISSION_WITHOUT_TOKEN)
  view[j] = NONE
#else
  lost = lost | (1 << j)
#endif
} }

#ifdef REUSED_BALLOT
/* A proposer restarts, has forgotten its ballot and runs it again. With BALLOTS=1 only: no later ballot is to see that
 * the model forgets here who accepted the first value. */
inline rerun(v, b) { d_step {
  value[VALUE(v, b)] != 0 && crashes < CRASHES ->
  printf("ACT: the proposer of ballot %d restarts and runs it again\n", b);
  crashes++; value[VALUE(v, b)] = 0; accepted[VALUE(v, b)] = 0
} }
#endif

#ifdef WEDGE_TIMES_OUT
/* A member wedged for long goes on as if it had never promised. */
inline giveUp(j) { d_step {
  ACTIVE(j) && promised[j] > 0 && !HAS(gaveUp, j) ->
  printf("ACT: %d gives up its wedge\n", j);
  gaveUp = gaveUp | (1 << j);
  acknowledge(j)
} }
#endif

#ifdef LIVENESS
/* Ballot b belongs to member b mod N. The first is anybody's whim; a later one starts only because of a wedge. */
inline start(v, b) { d_step {
#ifdef NO_TAKEOVER
  b == 1 && !HAS(started[v], b) && view[b % N] == v ->
#else
  !HAS(started[v], b) && view[b % N] == v && (b == 1 || (HAS(started[v], b - 1) && promised[b % N] > 0)) ->
#endif
  printf("ACT: %d prepares ballot %d\n", b % N, b);
  started[v] = started[v] | (1 << b)
} }
#endif

/* ---- the run ----------------------------------------------------------------------------------------------- */

#define EACH_STAMP(step, o) :: step(o, 1)
#if STAMPS > 1
#undef EACH_STAMP
#define EACH_STAMP(step, o) :: step(o, 1) :: step(o, 2)
#endif

#define EACH_BALLOT(step, j, v) :: step(j, v, 1)
#if BALLOTS == 2
#undef EACH_BALLOT
#define EACH_BALLOT(step, j, v) :: step(j, v, 1) :: step(j, v, 2)
#elif BALLOTS == 3
#undef EACH_BALLOT
#define EACH_BALLOT(step, j, v) :: step(j, v, 1) :: step(j, v, 2) :: step(j, v, 3)
#endif

#ifdef DECIDED_AT_ONCE
#define ACCEPTS(j)
#elif LAST > 1
#define ACCEPTS(j) EACH_BALLOT(accept, j, 0) EACH_BALLOT(accept, j, 1)
#else
#define ACCEPTS(j) EACH_BALLOT(accept, j, 0)
#endif
#if LAST > 1
#define EACH_VIEW(j) EACH_BALLOT(promise, j, 0) EACH_BALLOT(promise, j, 1) ACCEPTS(j) :: enter(j, 1) :: enter(j, 2)
#else
#define EACH_VIEW(j) EACH_BALLOT(promise, j, 0) ACCEPTS(j) :: enter(j, 1)
#endif

#ifdef SYNCED_AT_ONCE
#define SYNCS(j)
#else
#define SYNCS(j) :: sync(j)
#endif
#if CRASHES > 0
#define CRASHES_OF(j) :: crash(j)
#else
#define CRASHES_OF(j)
#endif

#ifdef LIVENESS
#define TALK(j)
#else
#define TALK(j) EACH_STAMP(issue, j) EACH_STAMP(sayBeat, j) SYNCS(j) EACH_STAMP(finalize, j)
#endif
#define SLOT(j) TALK(j) CRASHES_OF(j) EACH_VIEW(j)

init {
  d_step {
    decided[0] = V0;
    FOR(i, N)
      admitted[i] = UNSET; view[i] = NONE;
      WHEN(HAS(V0, i)) admitted[i] = 0; view[i] = 0 DONE;
    END(i);
    FOR(i, STAMPS + 1) finalView[i] = UNSET; END(i)
  }
  do
  SLOT(0)
  SLOT(1)
#if N > 2
  SLOT(2)
#endif
#if N > 3
  SLOT(3)
#endif

#if ISSUERS & 1
  :: receive(1, 0)
#if N > 2
  :: receive(2, 0)
#endif
#if N > 3
  :: receive(3, 0)
#endif
#endif
#if ISSUERS & 4
  :: receive(0, 2) :: receive(1, 2)
#if N > 3
  :: receive(3, 2)
#endif
#endif
#if ISSUERS & 8
  :: receive(0, 3) :: receive(1, 3) :: receive(2, 3)
#endif

  :: propose(0, 1, FIRST_A)
#ifdef FIRST_B
  :: propose(0, 1, FIRST_B)
#endif
#if BALLOTS > 1
  :: propose(0, 2, SECOND_A)
#endif
#if BALLOTS > 1 && defined(SECOND_B)
  :: propose(0, 2, SECOND_B)
#endif
#if BALLOTS > 2
  :: propose(0, 3, SECOND_A)
#endif
#ifdef NEXT_A
  :: propose(1, 1, NEXT_A)
#endif
#ifdef NEXT_B
  :: propose(1, 1, NEXT_B)
#endif

#if LOSERS & 4
  :: loseDisk(2)
#endif
#ifdef REUSED_BALLOT
  :: rerun(0, 1)
#endif
#ifdef WEDGE_TIMES_OUT
  :: giveUp(0) :: giveUp(1)
#endif
#ifdef LIVENESS
  :: start(0, 1) :: start(0, 2) :: start(0, 3)
  :: timeout ->
    MUST(HAS(started[0], 3) || (promised[0] == 0 && promised[1] == 0 && promised[2] == 0), "ACT: BROKEN UNWEDGED\n");
    break
#endif
#ifdef REACH
  :: d_step { REACHED -> assert(false) }
#endif
  od
}
