import Testing

/// Self-trade prevention, by example: the incoming order says what happens when it meets one of its own account.
@Suite(.serialized) struct SelfTradeTranscripts {
  @Test func none() {
    check(
      """
      define BTC-USD
        defined 1-1
      # Without it an account may trade with itself. What the order that rests asked for does not count.
      alice sell 5 @ 100 stp=cancel-both
        accepted 1-2
        rested 1-2 with 5
      alice buy 3 @ 100
        accepted 1-3
        filled 3 @ 100: maker 1-2 keeps 2, taker 1-3 keeps 0
      """)
  }

  @Test func cancelNewest() {
    check(
      """
      define BTC-USD
        defined 1-1
      bob sell 2 @ 100
        accepted 1-2
        rested 1-2 with 2
      alice sell 2 @ 100
        accepted 1-3
        rested 1-3 with 2
      bob sell 2 @ 100
        accepted 1-4
        rested 1-4 with 2
      # The incoming order trades until it meets its own account, and ends there.
      alice buy 5 @ 100 stp=cancel-newest
        accepted 1-5
        filled 2 @ 100: maker 1-2 keeps 0, taker 1-5 keeps 3
        cancelled 1-5 with 3: selfTrade
      book
        BTC-USD
          sell 4 @ 100: 1-3×2 1-4×2
      # An own order that is not reached does not matter.
      alice sell 1 @ 99
        accepted 1-6
        rested 1-6 with 1
      bob buy 1 @ 99
        accepted 1-7
        filled 1 @ 99: maker 1-6 keeps 0, taker 1-7 keeps 0
      bob buy 2 market stp=cancel-newest
        accepted 1-8
        filled 2 @ 100: maker 1-3 keeps 0, taker 1-8 keeps 0
      """)
  }

  @Test func cancelOldest() {
    check(
      """
      define BTC-USD
        defined 1-1
      alice sell 9 @ 99 show=2
        accepted 1-2
        rested 1-2 with 9
      bob sell 2 @ 100
        accepted 1-3
        rested 1-3 with 2
      alice sell 2 @ 101
        accepted 1-4
        rested 1-4 with 2
      # Own orders in the way go, hidden part and all; the incoming order goes on.
      alice buy 5 @ 100 stp=cancel-oldest
        accepted 1-5
        cancelled 1-2 with 9: selfTrade
        filled 2 @ 100: maker 1-3 keeps 0, taker 1-5 keeps 3
        rested 1-5 with 3
      book
        BTC-USD
          sell 2 @ 101: 1-4×2
          buy 3 @ 100: 1-5×3
      """)
  }

  @Test func cancelBoth() {
    check(
      """
      define BTC-USD
        defined 1-1
      bob sell 2 @ 99
        accepted 1-2
        rested 1-2 with 2
      alice sell 9 @ 100
        accepted 1-3
        rested 1-3 with 9
      alice sell 1 @ 100
        accepted 1-4
        rested 1-4 with 1
      # The first own order in the way goes, then the incoming one.
      alice buy 5 @ 100 stp=cancel-both
        accepted 1-5
        filled 2 @ 99: maker 1-2 keeps 0, taker 1-5 keeps 3
        cancelled 1-3 with 9: selfTrade
        cancelled 1-5 with 3: selfTrade
      book
        BTC-USD
          sell 1 @ 100: 1-4×1
      """)
  }

  @Test func decrement() {
    check(
      """
      define BTC-USD
        defined 1-1
      alice sell 2 @ 100
        accepted 1-2
        rested 1-2 with 2
      bob sell 2 @ 100
        accepted 1-3
        rested 1-3 with 2
      alice sell 8 @ 101
        accepted 1-4
        rested 1-4 with 8
      # Both lose what they would have traded; it is no trade. The one that has nothing left is cancelled.
      alice buy 9 @ 101 stp=decrement
        accepted 1-5
        reduced 1-2 by 2, keeps 0
        reduced 1-5 by 2, keeps 7
        cancelled 1-2 with 0: selfTrade
        filled 2 @ 100: maker 1-3 keeps 0, taker 1-5 keeps 5
        reduced 1-4 by 5, keeps 3
        reduced 1-5 by 5, keeps 0
        cancelled 1-5 with 0: selfTrade
      # Perhaps both.
      alice buy 3 @ 101 stp=decrement
        accepted 1-6
        reduced 1-4 by 3, keeps 0
        reduced 1-6 by 3, keeps 0
        cancelled 1-4 with 0: selfTrade
        cancelled 1-6 with 0: selfTrade
      # The last trade was at 100: a decrement moves no price, and triggers no stop.
      carol buy 1 stop=101
        accepted 1-7
        waiting 1-7 with 1
      # An iceberg is reduced by what it shows, then refreshed, behind the others.
      alice sell 7 @ 101 show=3
        accepted 1-8
        rested 1-8 with 7
      bob sell 1 @ 101
        accepted 1-9
        rested 1-9 with 1
      alice buy 3 @ 101 stp=decrement
        accepted 1-10
        reduced 1-8 by 3, keeps 4
        reduced 1-10 by 3, keeps 0
        refreshed 1-8, shows 3
        cancelled 1-10 with 0: selfTrade
      book
        BTC-USD
          sell 4 @ 101: 1-9×1 1-8×3+1
          waiting for 101: buy 1-7×1
      """)
  }

  @Test func fillOrKill() {
    check(
      """
      define BTC-USD
        defined 1-1
      bob sell 4 @ 100
        accepted 1-2
        rested 1-2 with 4
      bob sell 6 @ 101 show=2
        accepted 1-3
        rested 1-3 with 6
      alice sell 5 @ 101
        accepted 1-4
        rested 1-4 with 5
      bob sell 5 @ 102
        accepted 1-5
        rested 1-5 with 5
      # What can trade before it meets its own account is 4 at 100, and at 101 the 2 that the iceberg shows: the rest
      # of it comes behind 1-4.
      alice buy 7 @ 102 fok stp=cancel-newest
        accepted 1-6
        cancelled 1-6 with 7: fillOrKill
      alice buy 7 @ 102 fok stp=cancel-both
        accepted 1-7
        cancelled 1-7 with 7: fillOrKill
      alice buy 7 @ 102 fok stp=decrement
        accepted 1-8
        cancelled 1-8 with 7: fillOrKill
      # If own orders go, all but those count: 4, 6 and 5. An order that is killed has cancelled nothing.
      alice buy 16 @ 102 fok stp=cancel-oldest
        accepted 1-9
        cancelled 1-9 with 16: fillOrKill
      alice buy 6 @ 102 fok stp=decrement
        accepted 1-10
        filled 4 @ 100: maker 1-2 keeps 0, taker 1-10 keeps 2
        filled 2 @ 101: maker 1-3 keeps 4, taker 1-10 keeps 0
        refreshed 1-3, shows 2
      book
        BTC-USD
          sell 5 @ 102: 1-5×5
          sell 7 @ 101: 1-4×5 1-3×2+2
      alice buy 9 @ 102 fok stp=cancel-oldest
        accepted 1-11
        cancelled 1-4 with 5: selfTrade
        filled 2 @ 101: maker 1-3 keeps 2, taker 1-11 keeps 7
        refreshed 1-3, shows 2
        filled 2 @ 101: maker 1-3 keeps 0, taker 1-11 keeps 5
        filled 5 @ 102: maker 1-5 keeps 0, taker 1-11 keeps 0
      """)
  }

  @Test func stopsAndAmends() {
    check(
      """
      define BTC-USD
        defined 1-1
      alice buy 2 stop=100 stp=cancel-newest
        accepted 1-2
        waiting 1-2 with 2
      alice sell 2 @ 101
        accepted 1-3
        rested 1-3 with 2
      bob sell 1 @ 100
        accepted 1-4
        rested 1-4 with 1
      # A stop brings its prevention with it.
      carol buy 1 @ 100
        accepted 1-5
        filled 1 @ 100: maker 1-4 keeps 0, taker 1-5 keeps 0
        triggered 1-2
        cancelled 1-2 with 2: selfTrade
      # And an amend that enters anew is an incoming order.
      alice buy 1 @ 99 stp=decrement
        accepted 1-6
        rested 1-6 with 1
      alice amend 1-6 price=101
        amended 1-6 by 1-7: 1 @ 101, reduced by 0
        reduced 1-3 by 1, keeps 1
        reduced 1-6 by 1, keeps 0
        cancelled 1-6 with 0: selfTrade
      # A total counts what was filled, not what was taken off: of 2, nothing has traded.
      alice amend 1-3 total=2
        amended 1-3 by 1-8: 2 @ 101, reduced by -1
        rested 1-3 with 2
      """)
  }
}
