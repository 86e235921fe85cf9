import Testing

/// Icebergs, by example.
@Suite(.serialized) struct IcebergTranscripts {
  @Test func icebergs() {
    check(
      """
      define BTC-USD
        defined 1-1
      # An iceberg shows a part: the level counts 3, the order has 10.
      alice sell 10 @ 100 show=3
        accepted 1-2
        rested 1-2 with 10
      bob sell 2 @ 100
        accepted 1-3
        rested 1-3 with 2
      book
        BTC-USD
          sell 5 @ 100: 1-2×3+7 1-3×2
      # Only what it shows has the place. When that is used up it shows the next part, last in the queue.
      carol buy 4 @ 100
        accepted 1-4
        filled 3 @ 100: maker 1-2 keeps 7, taker 1-4 keeps 1
        refreshed 1-2, shows 3
        filled 1 @ 100: maker 1-3 keeps 1, taker 1-4 keeps 0
      book
        BTC-USD
          sell 4 @ 100: 1-3×1 1-2×3+4
      # Nothing is refreshed before what it shows is gone.
      carol buy 2 @ 100
        accepted 1-5
        filled 1 @ 100: maker 1-3 keeps 0, taker 1-5 keeps 1
        filled 1 @ 100: maker 1-2 keeps 6, taker 1-5 keeps 0
      book
        BTC-USD
          sell 2 @ 100: 1-2×2+4
      # An order that asks for more than is shown gets it, slice by slice. The last slice may be smaller.
      carol buy 9 @ 100
        accepted 1-6
        filled 2 @ 100: maker 1-2 keeps 4, taker 1-6 keeps 7
        refreshed 1-2, shows 3
        filled 3 @ 100: maker 1-2 keeps 1, taker 1-6 keeps 4
        refreshed 1-2, shows 1
        filled 1 @ 100: maker 1-2 keeps 0, taker 1-6 keeps 3
        rested 1-6 with 3
      book
        BTC-USD
          buy 3 @ 100: 1-6×3
      """)
  }

  @Test func incomingIcebergs() {
    check(
      """
      define BTC-USD
        defined 1-1
      alice sell 5 @ 100
        accepted 1-2
        rested 1-2 with 5
      # An iceberg that comes in trades with all that it has; what rests shows a part.
      bob buy 12 @ 100 show=3
        accepted 1-3
        filled 5 @ 100: maker 1-2 keeps 0, taker 1-3 keeps 7
        rested 1-3 with 7
      book
        BTC-USD
          buy 3 @ 100: 1-3×3+4
      # One that would show all it has is an order like any other.
      bob buy 3 @ 99 show=3
        accepted 1-4
        rested 1-4 with 3
      # A stop-limit shows its part once it rests.
      bob buy 5 @ 100 stop=100 show=2
        accepted 1-5
        triggered 1-5
        rested 1-5 with 5
      bob buy 5 @ 101 stop=101 show=2
        accepted 1-6
        waiting 1-6 with 5
      book
        BTC-USD
          buy 5 @ 100: 1-3×3+4 1-5×2+3
          buy 3 @ 99: 1-4×3
          waiting for 101: buy 1-6×5 @ 101 show=2
      # Two icebergs take turns, each with what it shows.
      alice sell 9 @ 100
        accepted 1-7
        filled 3 @ 100: maker 1-3 keeps 4, taker 1-7 keeps 6
        refreshed 1-3, shows 3
        filled 2 @ 100: maker 1-5 keeps 3, taker 1-7 keeps 4
        refreshed 1-5, shows 2
        filled 3 @ 100: maker 1-3 keeps 1, taker 1-7 keeps 1
        refreshed 1-3, shows 1
        filled 1 @ 100: maker 1-5 keeps 2, taker 1-7 keeps 0
      book
        BTC-USD
          buy 2 @ 100: 1-5×1+1 1-3×1
          buy 3 @ 99: 1-4×3
          waiting for 101: buy 1-6×5 @ 101 show=2
      """)
  }

  @Test func fillOrKillCountsWhatIsHidden() {
    check(
      """
      define BTC-USD
        defined 1-1
      alice sell 10 @ 100 show=4
        accepted 1-2
        rested 1-2 with 10
      bob buy 11 @ 100 fok
        accepted 1-3
        cancelled 1-3 with 11: fillOrKill
      bob buy 10 @ 100 fok
        accepted 1-4
        filled 4 @ 100: maker 1-2 keeps 6, taker 1-4 keeps 6
        refreshed 1-2, shows 4
        filled 4 @ 100: maker 1-2 keeps 2, taker 1-4 keeps 2
        refreshed 1-2, shows 2
        filled 2 @ 100: maker 1-2 keeps 0, taker 1-4 keeps 0
      """)
  }

  @Test func amendsOfIcebergs() {
    check(
      """
      define BTC-USD
        defined 1-1
      alice sell 10 @ 100 show=4
        accepted 1-2
        rested 1-2 with 10
      bob sell 5 @ 100
        accepted 1-3
        rested 1-3 with 5
      carol buy 1 @ 100
        accepted 1-4
        filled 1 @ 100: maker 1-2 keeps 9, taker 1-4 keeps 0
      # Less of it: first the hidden part goes, and it keeps its place; it is not filled up.
      alice amend 1-2 open=4
        amended 1-2 by 1-5: 4 @ 100, reduced by 5
      book
        BTC-USD
          sell 8 @ 100: 1-2×3+1 1-3×5
      alice amend 1-2 total=3
        amended 1-2 by 1-6: 2 @ 100, reduced by 2
      book
        BTC-USD
          sell 7 @ 100: 1-2×2 1-3×5
      # More of it: it goes last, and shows a full part again.
      alice amend 1-2 open=7
        amended 1-2 by 1-7: 7 @ 100, reduced by -5
        rested 1-2 with 7
      book
        BTC-USD
          sell 9 @ 100: 1-3×5 1-2×4+3
      # A cancel takes what it shows and what it hides.
      alice cancel 1-2
        cancelled 1-2 with 7: requested
      # An order that showed all that it had hides what it is given beyond that.
      alice sell 2 @ 100 show=2
        accepted 1-9
        rested 1-9 with 2
      alice amend 1-9 total=6
        amended 1-9 by 1-10: 6 @ 100, reduced by -4
        rested 1-9 with 6
      book
        BTC-USD
          sell 7 @ 100: 1-3×5 1-9×2+4
      """)
  }
}
