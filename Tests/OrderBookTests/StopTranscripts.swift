import Testing

/// Stops, by example.
@Suite(.serialized) struct StopTranscripts {
  @Test func stops() {
    check(
      """
      define BTC-USD
        defined 1-1
      # A stop waits for a trade at its price or beyond: a buyer for a higher one, a seller for a lower one. While it
      # waits it is open, but in no level of the book. Before the first trade there is no price: every stop waits.
      alice buy 3 stop=105
        accepted 1-2
        waiting 1-2 with 3
      alice sell 3 stop=95
        accepted 1-3
        waiting 1-3 with 3
      # Orders that rest at its price, or better, do nothing to it: only trades count.
      bob sell 2 @ 105
        accepted 1-4
        rested 1-4 with 2
      bob sell 2 @ 106
        accepted 1-5
        rested 1-5 with 2
      book
        BTC-USD
          sell 2 @ 106: 1-5×2
          sell 2 @ 105: 1-4×2
          waiting for 95: sell 1-3×3
          waiting for 105: buy 1-2×3
      # A trade at 105: the stop enters as a market order, once the order that made the trade is done with.
      carol buy 1 @ 105
        accepted 1-6
        filled 1 @ 105: maker 1-4 keeps 1, taker 1-6 keeps 0
        triggered 1-2
        filled 1 @ 105: maker 1-4 keeps 0, taker 1-2 keeps 2
        filled 2 @ 106: maker 1-5 keeps 0, taker 1-2 keeps 0
      # The last trade was at 106: what waits for that price or a lower one does not wait at all. Like every market
      # order it is cancelled if there is nothing to trade with.
      alice buy 1 stop=106
        accepted 1-7
        triggered 1-7
        cancelled 1-7 with 1: market
      alice sell 1 stop=106
        accepted 1-8
        triggered 1-8
        cancelled 1-8 with 1: market
      alice buy 1 stop=107
        accepted 1-9
        waiting 1-9 with 1
      book
        BTC-USD
          waiting for 95: sell 1-3×3
          waiting for 107: buy 1-9×1
      """)
  }

  @Test func stopLimits() {
    check(
      """
      define BTC-USD
        defined 1-1
      # A stop-limit becomes a limit order: what it cannot trade within its limit rests.
      alice buy 5 @ 106 stop=105
        accepted 1-2
        waiting 1-2 with 5
      bob sell 3 @ 105
        accepted 1-3
        rested 1-3 with 3
      bob sell 3 @ 107
        accepted 1-4
        rested 1-4 with 3
      carol buy 1 @ 105
        accepted 1-5
        filled 1 @ 105: maker 1-3 keeps 2, taker 1-5 keeps 0
        triggered 1-2
        filled 2 @ 105: maker 1-3 keeps 0, taker 1-2 keeps 3
        rested 1-2 with 3
      # From then on it is an order like any other.
      dave buy 1 @ 106
        accepted 1-6
        rested 1-6 with 1
      alice amend 1-2 total=4
        amended 1-2 by 1-7: 2 @ 106, reduced by 1
      book
        BTC-USD
          sell 3 @ 107: 1-4×3
          buy 3 @ 106: 1-2×2 1-6×1
      # Its limit may be on the far side of its stop price: then it rests there, and waits a second time.
      alice sell 2 @ 110 stop=105
        accepted 1-8
        triggered 1-8
        rested 1-8 with 2
      # Immediate-or-cancel and fill-or-kill wait as others do; they mean the moment at which the stop enters.
      alice sell 4 @ 106 stop=104 ioc
        accepted 1-9
        waiting 1-9 with 4
      alice sell 4 @ 100 stop=104 fok
        accepted 1-10
        waiting 1-10 with 4
      alice sell 1 stop=104 fok
        accepted 1-11
        waiting 1-11 with 1
      dave buy 1 @ 104
        accepted 1-12
        rested 1-12 with 1
      dave buy 2 @ 103
        accepted 1-13
        rested 1-13 with 2
      carol sell 4 @ 104
        accepted 1-14
        filled 2 @ 106: maker 1-2 keeps 0, taker 1-14 keeps 2
        filled 1 @ 106: maker 1-6 keeps 0, taker 1-14 keeps 1
        filled 1 @ 104: maker 1-12 keeps 0, taker 1-14 keeps 0
        triggered 1-9
        cancelled 1-9 with 4: immediateOrCancel
        triggered 1-10
        cancelled 1-10 with 4: fillOrKill
        triggered 1-11
        filled 1 @ 103: maker 1-13 keeps 1, taker 1-11 keeps 0
      book
        BTC-USD
          sell 2 @ 110: 1-8×2
          sell 3 @ 107: 1-4×3
          buy 1 @ 103: 1-13×1
      """)
  }

  @Test func cascades() {
    check(
      """
      define BTC-USD
        defined 1-1
      alice buy 1 @ 100
        accepted 1-2
        rested 1-2 with 1
      alice buy 1 @ 99
        accepted 1-3
        rested 1-3 with 1
      alice buy 1 @ 98
        accepted 1-4
        rested 1-4 with 1
      alice buy 2 @ 97
        accepted 1-5
        rested 1-5 with 2
      alice buy 2 @ 96
        accepted 1-6
        rested 1-6 with 2
      # The later stop has the higher price, so it is the first to be reached …
      bob sell 1 stop=98
        accepted 1-7
        waiting 1-7 with 1
      carol sell 1 stop=99
        accepted 1-8
        waiting 1-8 with 1
      dave sell 1 stop=97
        accepted 1-9
        waiting 1-9 with 1
      erin sell 1 stop=100
        accepted 1-10
        waiting 1-10 with 1
      book
        BTC-USD
          buy 1 @ 100: 1-2×1
          buy 1 @ 99: 1-3×1
          buy 1 @ 98: 1-4×1
          buy 2 @ 97: 1-5×2
          buy 2 @ 96: 1-6×2
          waiting for 100: sell 1-10×1
          waiting for 99: sell 1-8×1
          waiting for 98: sell 1-7×1
          waiting for 97: sell 1-9×1
      # … but one trade triggers what it reaches in order of time: bob, who came first, before carol. Each trade of a
      # stop may reach more stops; they queue behind those that were reached before.
      frank sell 1 @ 100 ioc
        accepted 1-11
        filled 1 @ 100: maker 1-2 keeps 0, taker 1-11 keeps 0
        triggered 1-10
        filled 1 @ 99: maker 1-3 keeps 0, taker 1-10 keeps 0
        triggered 1-8
        filled 1 @ 98: maker 1-4 keeps 0, taker 1-8 keeps 0
        triggered 1-7
        filled 1 @ 97: maker 1-5 keeps 1, taker 1-7 keeps 0
        triggered 1-9
        filled 1 @ 97: maker 1-5 keeps 0, taker 1-9 keeps 0
      """)
    check(
      """
      define BTC-USD
        defined 1-1
      alice buy 2 @ 100
        accepted 1-2
        rested 1-2 with 2
      alice buy 9 @ 90
        accepted 1-3
        rested 1-3 with 9
      bob sell 1 stop=95
        accepted 1-4
        waiting 1-4 with 1
      carol sell 1 stop=99
        accepted 1-5
        waiting 1-5 with 1
      dave sell 1 stop=100
        accepted 1-6
        waiting 1-6 with 1
      erin buy 1 stop=80
        accepted 1-7
        waiting 1-7 with 1
      # One order that trades at two prices: what the first trade reaches stands in line before what only the second
      # reaches. At the first trade there is a stop for either side: in order of time too. An order's own remainder
      # rests before any of them enters; the market order finds it there.
      frank sell 4 @ 90
        accepted 1-8
        filled 2 @ 100: maker 1-2 keeps 0, taker 1-8 keeps 2
        filled 2 @ 90: maker 1-3 keeps 7, taker 1-8 keeps 0
        triggered 1-6
        filled 1 @ 90: maker 1-3 keeps 6, taker 1-6 keeps 0
        triggered 1-7
        cancelled 1-7 with 1: market
        triggered 1-4
        filled 1 @ 90: maker 1-3 keeps 5, taker 1-4 keeps 0
        triggered 1-5
        filled 1 @ 90: maker 1-3 keeps 4, taker 1-5 keeps 0
      """)
    check(
      """
      define BTC-USD
        defined 1-1
      alice sell 1 @ 100
        accepted 1-2
        rested 1-2 with 1
      bob sell 1 stop=100
        accepted 1-3
        waiting 1-3 with 1
      # The remainder of 1-4 rests before the stop that it triggered enters, and trades with it.
      carol buy 3 @ 100
        accepted 1-4
        filled 1 @ 100: maker 1-2 keeps 0, taker 1-4 keeps 2
        rested 1-4 with 2
        triggered 1-3
        filled 1 @ 100: maker 1-4 keeps 1, taker 1-3 keeps 0
      # An amend that trades triggers as an order does; a cancel never does.
      dave buy 1 stop=103
        accepted 1-5
        waiting 1-5 with 1
      alice sell 2 @ 103
        accepted 1-6
        rested 1-6 with 2
      carol amend 1-4 price=103
        amended 1-4 by 1-7: 1 @ 103, reduced by 0
        filled 1 @ 103: maker 1-6 keeps 1, taker 1-4 keeps 0
        triggered 1-5
        filled 1 @ 103: maker 1-6 keeps 0, taker 1-5 keeps 0
      book
        BTC-USD
      """)
  }

  @Test func waitingStopsAreOpenOrders() {
    check(
      """
      define BTC-USD
        defined 1-1
      alice buy 5 stop=105 id=7
        accepted 1-2
        waiting 1-2 with 5
      # Its id is taken, as any order's.
      alice buy 5 stop=105 id=7
        rejected 1-3: repeated (1-2)
      bob cancel 1-2
        rejected 1-4: notOwner (1-2)
      alice cancel id=7
        cancelled 1-2 with 5: requested
      alice cancel 1-2
        rejected 1-6: notOpen (1-2)
      alice buy 5 stop=105
        accepted 1-7
        waiting 1-7 with 5
      alice buy 1 @ 90
        accepted 1-8
        rested 1-8 with 1
      alice sell 5 @ 94 stop=95
        accepted 1-9
        waiting 1-9 with 5
      alice cancel-all
        cancelled 1-7 with 5: cancelAll
        cancelled 1-8 with 1: cancelAll
        cancelled 1-9 with 5: cancelAll
      # A cancel that came first wins here, too.
      alice cancel 1-12
        (silent)
      alice buy 5 stop=105
        accepted 1-12
        cancelled 1-12 with 5: tombstone
      # It may be given a date.
      alice buy 5 stop=105 until=60s
        accepted 1-13
        waiting 1-13 with 5
      wait 60s
      nothing
        expired 1-13 with 5
      """)
  }

  @Test func amendsOfWaitingStops() {
    check(
      """
      define BTC-USD
        defined 1-1
      alice buy 5 stop=105
        accepted 1-2
        waiting 1-2 with 5
      bob buy 5 @ 106 stop=105
        accepted 1-3
        waiting 1-3 with 5
      dave buy 1 stop=104
        accepted 1-4
        waiting 1-4 with 1
      erin buy 1 stop=104
        accepted 1-5
        waiting 1-5 with 1
      # Less of it: it keeps its place.
      alice amend 1-2 total=4
        amended 1-2 by 1-6: 4 @ 0, reduced by 1
      # A stop has no limit price that could change; its stop price never changes.
      alice amend 1-2 price=107
        rejected 1-7: invalidPrice (1-2)
      # Another limit, more of it, or the wish to: it goes last.
      alice amend 1-2 open=6
        amended 1-2 by 1-8: 6 @ 0, reduced by -2
        waiting 1-2 with 6
      book
        BTC-USD
          waiting for 104: buy 1-4×1
          waiting for 104: buy 1-5×1
          waiting for 105: buy 1-3×5 @ 106
          waiting for 105: buy 1-2×6
      bob amend 1-3 price=107
        amended 1-3 by 1-9: 5 @ 107, reduced by 0
        waiting 1-3 with 5
      dave amend 1-4 requeue
        amended 1-4 by 1-10: 1 @ 0, reduced by 0
        waiting 1-4 with 1
      book
        BTC-USD
          waiting for 104: buy 1-5×1
          waiting for 104: buy 1-4×1
          waiting for 105: buy 1-2×6
          waiting for 105: buy 1-3×5 @ 107
      carol sell 9 @ 105
        accepted 1-11
        rested 1-11 with 9
      # Time is that of the amend: erin's 1-5 is the oldest now, then alice, bob, dave.
      carol buy 1 @ 105 ioc
        accepted 1-12
        filled 1 @ 105: maker 1-11 keeps 8, taker 1-12 keeps 0
        triggered 1-5
        filled 1 @ 105: maker 1-11 keeps 7, taker 1-5 keeps 0
        triggered 1-2
        filled 6 @ 105: maker 1-11 keeps 1, taker 1-2 keeps 0
        triggered 1-3
        filled 1 @ 105: maker 1-11 keeps 0, taker 1-3 keeps 4
        rested 1-3 with 4
        triggered 1-4
        cancelled 1-4 with 1: market
      """)
  }
}
