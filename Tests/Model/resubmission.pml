/* resubmission.pml - what becomes of an order in the tail that a seal made void.
 *
 * Node A took an order and perhaps its cancel; it is sealed, and comes back as a new origin, which resubmits the void
 * tail. That may happen twice. Meanwhile the client may have retried the order at node B under its client order id,
 * and cancelled it, at B or at A. The model keeps the valid log in key order and replays it after every step. An entry
 * goes anywhere behind its author's last one, a cancel by dot also behind the entry of that dot: this covers all stamps
 * and all delays.
 *
 *   ONCE       an order takes effect once at most
 *   CANCELLED  an order whose cancel was accepted, by anybody, is not open once A has resubmitted its tail
 *   KEPT       any other order is open then
 *
 * An order has a set of names: its client order id, its dot, and (the rule this model is about) the first dot it ever
 * had, if it is a resubmission. A cancel has one name. Two orders that share a name are one.
 *
 * Abstracted: there is one order, since names of different orders never meet; prices, fills and expiry, which start
 * from an order's being open; the view change, whose only result here is where the tail is cut (finality.pml has it).
 *
 * Configurations: WITH_ID, WITHOUT_ID (of a client order id; without one a client cannot retry), and PLAIN, without id
 * and without the first dot, sealed once, cancels by way of A only: there the order of resubmission matters.
 *
 * Mutations:
 *   CANCEL_RESUBMITTED_FIRST     PLAIN: an order is resubmitted after its cancel
 *   REQUESTS_BEFORE_TAIL         PLAIN: A takes a cancel as a new origin before it has resubmitted its tail
 *   RESUBMITTED_TWICE            PLAIN: how far it got is durable only after the entry, and A crashes between the two
 *   NO_FIRST_DOT                 a resubmission does not name the first dot; a cancel that does finds nothing
 *   LAST_DOT                     it names the dot that it had last, not first; A is sealed twice
 *   NO_TOMBSTONE                 a cancel that finds no order is dropped
 *   DUPLICATE_PASSES_TOMBSTONE   a duplicate has no effect, not even that of a tombstone under one of its names
 *   FRESH_ID                     it is resubmitted without its client order id
 */
#include "definitions.pml"

#define ID 1
#define DOT(round) (2 << (round))    /* of what A wrote before its first seal, after it, after the second */
#define DOT_AT_B 16
#define BY_A 0
#define BY_B 32
#define IS_CANCEL 128
#define AUTHOR(x) ((x) & BY_B)
#define NAMES(x) ((x) & 31)

#ifdef WITH_ID
#define CLIENT_ID ID
#else
#define CLIENT_ID 0
#endif
#ifdef FRESH_ID
#define ID_AGAIN 0
#else
#define ID_AGAIN CLIENT_ID
#endif
#ifdef PLAIN
#define SEALS 1
#else
#define SEALS 2
#endif
#if defined(PLAIN) || defined(NO_FIRST_DOT)
#define OLD_NAME 0
#elif defined(LAST_DOT)
#define OLD_NAME DOT(seals - 1)
#else
#define OLD_NAME DOT(0)
#endif
/* A resubmitted cancel names the first dot; without that rule, the new dot, if there is one yet. */
#if defined(PLAIN) || defined(NO_FIRST_DOT)
#define FIND_TARGET if :: again & 1 -> target = DOT(seals) :: else -> target = DOT(0) fi
#else
#define FIND_TARGET target = DOT(0)
#endif

#define LENGTH 8
byte log[LENGTH], length;
byte tail;              /* of A: bit 0, the order is in it; bit 1, a cancel is */
byte again;             /* what of that has been resubmitted */
byte seals;
bool wrote, sealed, retried, accepted, crashed;
bool orderKept;         /* the base has it, so no later seal cuts it off */
byte cancels;           /* taken by B and by A as a new origin */

byte p, target, known, tombs, opened, open;     /* scratch */

inline replay() { d_step {
  FOR(k, length)
    if
    :: !(log[k] & IS_CANCEL) && (NAMES(log[k]) & known) == 0 ->
      opened++; known = known | NAMES(log[k]);
      WHEN((NAMES(log[k]) & tombs) == 0) open = 1 DONE
    :: !(log[k] & IS_CANCEL) && (NAMES(log[k]) & known) != 0 ->
      known = known | NAMES(log[k]);
#ifndef DUPLICATE_PASSES_TOMBSTONE
      WHEN((NAMES(log[k]) & tombs) != 0) open = 0 DONE
#endif
    :: (log[k] & IS_CANCEL) && (NAMES(log[k]) & known) != 0 -> open = 0
    :: else ->
#ifndef NO_TOMBSTONE
      tombs = tombs | NAMES(log[k])
#else
      skip
#endif
    fi;
  END(k);
  MUST(opened <= 1, "ACT: BROKEN ONCE\n");
  WHEN(wrote && (again & tail) == tail && !sealed)
    MUST(!(accepted && open), "ACT: BROKEN CANCELLED\n");
    MUST(accepted || open, "ACT: BROKEN KEPT\n")
  DONE;
  known = 0; tombs = 0; opened = 0; open = 0; p = 0
} }

#define FIRST_ORDER(x) (NAMES(x) == (CLIENT_ID | DOT(0)) && !((x) & IS_CANCEL))
/* Puts x anywhere behind its author's last entry; a cancel of the first dot, which carries the stamp of that, behind it. */
inline write(x) {
  d_step {
    FOR(k, length)
      WHEN(AUTHOR(log[k]) == AUTHOR(x)) p = k + 1 DONE;
      WHEN(FIRST_ORDER(log[k]) && ((x) & IS_CANCEL) && NAMES(x) == DOT(0) && p <= k) p = k + 1 DONE;
    END(k)
  }
  do :: p < length -> p++ :: break od;
  skip;
  d_step {
    k = length;
    do :: k > p -> log[k] = log[k - 1]; k-- :: else -> break od;
    log[p] = x; length++; k = 0; p = 0
  }
}

/* A's entries from its round `seals` on leave the valid log. */
inline cutTail() {
  FOR(k, length)
    WHEN(!(AUTHOR(log[k]) == BY_A && HAS(cutting, (log[k] & IS_CANCEL) != 0))) log[m] = log[k]; m++ DONE;
  END(k);
  FOR(k, LENGTH) WHEN(k >= m) log[k] = 0 DONE; END(k);
  length = m; m = 0
}
byte cutting;

init {
  do
  :: atomic { !wrote -> printf("ACT: A takes the order\n"); wrote = 1; write(BY_A | CLIENT_ID | DOT(0)); replay() }
  :: atomic { wrote && !sealed && seals == 0 && !accepted ->
      printf("ACT: A takes a cancel of it\n"); accepted = 1; write(BY_A | IS_CANCEL | DOT(0)); replay() }
  /* The seal cuts behind the order, or before it. What A wrote in the round before stays, or goes, likewise. */
  :: atomic { wrote && !sealed && seals < SEALS && (again & tail) == tail ->
      if :: !orderKept -> cutting = 3 :: cutting = 2; orderKept = 1 fi;
      d_step {
        tail = 0;
        FOR(k, length) WHEN(AUTHOR(log[k]) == BY_A && HAS(cutting, (log[k] & IS_CANCEL) != 0)) tail = tail | (1 << ((log[k] & IS_CANCEL) != 0)) DONE; END(k);
        cutTail();
        printf("ACT: A is sealed; its tail of %d (1 the order, 2 a cancel) is void\n", tail);
        cutting = 0; again = 0; seals++; sealed = 1
      };
      replay() }
  :: atomic { sealed -> sealed = 0; printf("ACT: A returns as a new origin\n"); replay() }

  /* A resubmits, in the order of its tail, and in one commit with the record of how far it got. */
#ifdef CANCEL_RESUBMITTED_FIRST
  :: atomic { !sealed && (tail & 1) && !(again & 1) && (again & tail & 2) == (tail & 2) ->
#else
  :: atomic { !sealed && (tail & 1) && !(again & 1) ->
#endif
      printf("ACT: A resubmits the order\n"); write(BY_A | ID_AGAIN | OLD_NAME | DOT(seals + crashed));
#ifdef RESUBMITTED_TWICE
      /* The second time under yet another dot. */
      if
      :: again = again | 1
      :: !crashed -> crashed = 1; printf("ACT: A crashes before it has recorded that, and restarts\n")
      fi;
#else
      again = again | 1;
#endif
      replay() }
#ifdef CANCEL_RESUBMITTED_FIRST
  :: atomic { !sealed && (tail & 2) && !(again & 2) ->
#else
  :: atomic { !sealed && (tail & 2) && !(again & 2) && (again & tail & 1) == (tail & 1) ->
#endif
      printf("ACT: A resubmits the cancel\n"); FIND_TARGET; write(BY_A | IS_CANCEL | target); target = 0; again = again | 2; replay() }
  /* A new cancel at A, of the order as its client knows it. */
#ifdef REQUESTS_BEFORE_TAIL
  :: atomic { !sealed && seals > 0 && cancels == 0 ->
#else
  :: atomic { !sealed && seals > 0 && cancels == 0 && (again & tail) == tail ->
#endif
      printf("ACT: A takes a cancel as a new origin\n"); cancels++; accepted = 1; FIND_TARGET; write(BY_A | IS_CANCEL | target); target = 0; replay() }

#ifndef PLAIN
  :: atomic { wrote && cancels == 0 -> printf("ACT: B takes a cancel of the first dot\n"); cancels++; accepted = 1; write(BY_B | IS_CANCEL | DOT(0)); replay() }
#ifdef WITH_ID
  :: atomic { wrote && cancels == 0 -> printf("ACT: B takes a cancel of the id\n"); cancels++; accepted = 1; write(BY_B | IS_CANCEL | ID); replay() }
  :: atomic { wrote && !retried -> printf("ACT: B takes the order again\n"); retried = 1; write(BY_B | ID | DOT_AT_B); replay() }
#endif
#endif
#ifdef REACH
  :: d_step { seals == SEALS && accepted && (again & tail) == tail && tail != 0 -> assert(false) }
#endif
  od
}
