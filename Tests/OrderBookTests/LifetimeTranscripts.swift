import Testing

/// Good-till-date and post-only, by example.
@Suite(.serialized) struct LifetimeTranscripts {
  @Test func goodTillDate() {
    check(
      """
      define BTC-USD
        defined 1-1
      alice sell 5 @ 101 until=60s
        accepted 1-2
        rested 1-2 with 5
      bob sell 5 @ 100 until=30s
        accepted 1-3
        rested 1-3 with 5
      alice buy 5 stop=105 until=30s
        accepted 1-4
        waiting 1-4 with 5
      # It may trade at once, as any order.
      carol buy 2 @ 100 until=30s
        accepted 1-5
        filled 2 @ 100: maker 1-3 keeps 3, taker 1-5 keeps 0
      wait 29s
      carol buy 1 @ 100
        accepted 1-6
        filled 1 @ 100: maker 1-3 keeps 2, taker 1-6 keeps 0
      wait 1s
      # There is no clock but the entries: with the first one stamped at the date or later the orders leave, in the
      # order of their dates, before that entry itself is looked at.
      carol buy 1 @ 100
        expired 1-3 with 2
        expired 1-4 with 5
        accepted 1-7
        rested 1-7 with 1
      bob cancel 1-3
        rejected 1-8: notOpen (1-3)
      wait 30s
      # Even one that the book ignores.
      nothing
        expired 1-2 with 5
      book
        BTC-USD
          buy 1 @ 100: 1-7×1
      """)
  }

  @Test func datesAreExact() {
    check(
      """
      define BTC-USD
        defined 1-1
      # In the order of their dates, then of their dots. Every entry here is a millisecond after the one before.
      alice sell 1 @ 101 until=1000ms
        accepted 1-2
        rested 1-2 with 1
      alice sell 2 @ 102 until=998ms
        accepted 1-3
        rested 1-3 with 2
      alice sell 3 @ 103 until=998ms
        accepted 1-4
        rested 1-4 with 3
      alice sell 4 @ 104 until=997ms
        accepted 1-5
        rested 1-5 with 4
      wait 994ms
      nothing
      # An order leaves at its date, not after it.
      nothing
        expired 1-3 with 2
      nothing
        expired 1-2 with 1
        expired 1-4 with 3
        expired 1-5 with 4
      alice sell 5 @ 105 until=30ms
        accepted 1-9
        rested 1-9 with 5
      alice sell 6 @ 106 until=20ms
        accepted 1-10
        rested 1-10 with 6
      wait 40ms
      nothing
        expired 1-10 with 6
        expired 1-9 with 5
      """)
  }

  @Test func amendsKeepTheDate() {
    check(
      """
      define BTC-USD
        defined 1-1
      alice sell 5 @ 101 until=60s
        accepted 1-2
        rested 1-2 with 5
      wait 30s
      alice amend 1-2 price=102 open=8
        amended 1-2 by 1-3: 8 @ 102, reduced by -3
        rested 1-2 with 8
      wait 30s
      alice amend 1-2 price=103
        expired 1-2 with 8
        rejected 1-4: notOpen (1-2)
      """)
  }

  @Test func postOnly() {
    check(
      """
      define BTC-USD
        defined 1-1
      alice sell 5 @ 101
        accepted 1-2
        rested 1-2 with 5
      # Post-only orders rest or are refused; they never trade when they come in.
      bob buy 1 @ 100 post-only
        accepted 1-3
        rested 1-3 with 1
      bob buy 1 @ 101 post-only id=7
        rejected 1-4: wouldTrade
      # The id is taken all the same: a repeat gets the same order's number, though that order is in no book.
      bob buy 1 @ 101 post-only id=7
        rejected 1-5: repeated (1-4)
      bob buy 1 @ 100 post-only id=7
        rejected 1-6: duplicateID (1-4)
      bob cancel id=7
        rejected 1-7: notOpen (1-4)
      # An own order is in the way as any other, whatever the prevention.
      alice buy 1 @ 101 post-only stp=cancel-oldest
        rejected 1-8: wouldTrade
      # A cancel that came first wins.
      bob cancel 1-10
        (silent)
      bob buy 1 @ 101 post-only
        accepted 1-10
        cancelled 1-10 with 1: tombstone
      # Once it rests it trades as any other.
      carol sell 1 @ 100
        accepted 1-11
        filled 1 @ 100: maker 1-3 keeps 0, taker 1-11 keeps 0
      # An amend that would trade is refused; the order stays as it was.
      bob buy 4 @ 99 post-only
        accepted 1-12
        rested 1-12 with 4
      bob amend 1-12 price=101
        rejected 1-13: wouldTrade (1-12)
      bob amend 1-12 price=100
        amended 1-12 by 1-14: 4 @ 100, reduced by 0
        rested 1-12 with 4
      # It may be an iceberg, and may have a date.
      bob buy 4 @ 99 post-only show=1 until=60s
        accepted 1-15
        rested 1-15 with 4
      book
        BTC-USD
          sell 5 @ 101: 1-2×5
          buy 4 @ 100: 1-12×4
          buy 1 @ 99: 1-15×1+3
      """)
  }
}
