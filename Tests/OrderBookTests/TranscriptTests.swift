import Testing

/// The rules, by example: what orders do without any flag, and what becomes of them.
@Suite(.serialized) struct TranscriptTests {
  @Test func limitOrders() {
    check(
      """
      define BTC-USD
        defined 1-1
      alice sell 5 @ 101
        accepted 1-2
        rested 1-2 with 5
      bob sell 5 @ 100
        accepted 1-3
        rested 1-3 with 5
      carol sell 5 @ 100
        accepted 1-4
        rested 1-4 with 5
      # The best price first, then the oldest; at the maker's price.
      dave buy 12 @ 101
        accepted 1-5
        filled 5 @ 100: maker 1-3 keeps 0, taker 1-5 keeps 7
        filled 5 @ 100: maker 1-4 keeps 0, taker 1-5 keeps 2
        filled 2 @ 101: maker 1-2 keeps 3, taker 1-5 keeps 0
      # What is left of an order rests.
      dave buy 10 @ 101
        accepted 1-6
        filled 3 @ 101: maker 1-2 keeps 0, taker 1-6 keeps 7
        rested 1-6 with 7
      book
        BTC-USD
          buy 7 @ 101: 1-6×7
      """)
  }

  @Test func marketOrders() {
    check(
      """
      define BTC-USD
        defined 1-1
      alice buy 5 @ 99
        accepted 1-2
        rested 1-2 with 5
      alice buy 5 @ 1
        accepted 1-3
        rested 1-3 with 5
      bob sell 20 market
        accepted 1-4
        filled 5 @ 99: maker 1-2 keeps 0, taker 1-4 keeps 15
        filled 5 @ 1: maker 1-3 keeps 0, taker 1-4 keeps 10
        cancelled 1-4 with 10: market
      bob sell 1 market
        accepted 1-5
        cancelled 1-5 with 1: market
      bob sell 1 market fok
        accepted 1-6
        cancelled 1-6 with 1: fillOrKill
      book
        BTC-USD
      """)
  }

  @Test func immediateOrCancel() {
    check(
      """
      define BTC-USD
        defined 1-1
      alice sell 5 @ 100
        accepted 1-2
        rested 1-2 with 5
      bob buy 8 @ 100 ioc
        accepted 1-3
        filled 5 @ 100: maker 1-2 keeps 0, taker 1-3 keeps 3
        cancelled 1-3 with 3: immediateOrCancel
      bob buy 8 @ 100 ioc
        accepted 1-4
        cancelled 1-4 with 8: immediateOrCancel
      book
        BTC-USD
      """)
  }

  @Test func fillOrKill() {
    check(
      """
      define BTC-USD
        defined 1-1
      alice sell 5 @ 100
        accepted 1-2
        rested 1-2 with 5
      alice sell 5 @ 102
        accepted 1-3
        rested 1-3 with 5
      # Not enough down to its limit: nothing happens.
      bob buy 6 @ 101 fok
        accepted 1-4
        cancelled 1-4 with 6: fillOrKill
      bob buy 10 @ 102 fok
        accepted 1-5
        filled 5 @ 100: maker 1-2 keeps 0, taker 1-5 keeps 5
        filled 5 @ 102: maker 1-3 keeps 0, taker 1-5 keeps 0
      book
        BTC-USD
      """)
  }

  @Test func cancels() {
    check(
      """
      define BTC-USD
        defined 1-1
      alice buy 5 @ 100
        accepted 1-2
        rested 1-2 with 5
      alice buy 5 @ 101 id=7
        accepted 1-3
        rested 1-3 with 5
      bob cancel 1-2
        rejected 1-4: notOwner (1-2)
      alice cancel 1-2
        cancelled 1-2 with 5: requested
      alice cancel 1-2
        rejected 1-6: notOpen (1-2)
      alice cancel id=7
        cancelled 1-3 with 5: requested
      alice cancel id=7
        rejected 1-8: notOpen (1-3)
      alice cancel 9-9 known
        rejected 1-9: unknownOrder (9-9)
      alice buy 1 @ 100
        accepted 1-10
        rested 1-10 with 1
      bob buy 1 @ 100
        accepted 1-11
        rested 1-11 with 1
      alice buy 2 @ 100
        accepted 1-12
        rested 1-12 with 2
      alice cancel-all
        cancelled 1-10 with 1: cancelAll
        cancelled 1-12 with 2: cancelAll
      book
        BTC-USD
          buy 1 @ 100: 1-11×1
      """)
  }

  @Test func amends() {
    check(
      """
      define BTC-USD
        defined 1-1
      alice buy 10 @ 100
        accepted 1-2
        rested 1-2 with 10
      bob buy 10 @ 100
        accepted 1-3
        rested 1-3 with 10
      dave sell 4 @ 100
        accepted 1-4
        filled 4 @ 100: maker 1-2 keeps 6, taker 1-4 keeps 0
      # Lowering the quantity keeps the place; the total includes the 4 that are filled.
      alice amend 1-2 total=9
        amended 1-2 by 1-5: 5 @ 100, reduced by 1
      dave sell 1 @ 100
        accepted 1-6
        filled 1 @ 100: maker 1-2 keeps 4, taker 1-6 keeps 0
      # The same quantity again changes nothing: sending an amend twice is harmless.
      alice amend 1-2 total=9
        amended 1-2 by 1-7: 4 @ 100, reduced by 0
      # Raising it loses the place.
      alice amend 1-2 open=6
        amended 1-2 by 1-8: 6 @ 100, reduced by -2
        rested 1-2 with 6
      book
        BTC-USD
          buy 16 @ 100: 1-3×10 1-2×6
      alice amend 1-2 requeue
        amended 1-2 by 1-9: 6 @ 100, reduced by 0
        rested 1-2 with 6
      # Another price may trade; the order stays itself.
      dave sell 3 @ 102
        accepted 1-10
        rested 1-10 with 3
      bob amend 1-3 price=102
        amended 1-3 by 1-11: 10 @ 102, reduced by 0
        filled 3 @ 102: maker 1-10 keeps 0, taker 1-3 keeps 7
        rested 1-3 with 7
      book
        BTC-USD
          buy 7 @ 102: 1-3×7
          buy 6 @ 100: 1-2×6
      # A total that is already filled ends the order.
      alice amend 1-2 total=5
        cancelled 1-2 with 6: requested
      alice amend 1-2 total=5
        rejected 1-13: notOpen (1-2)
      bob amend 1-3 price=0
        rejected 1-14: invalidPrice (1-3)
      bob amend 1-3 total=0
        rejected 1-15: invalidQuantity (1-3)
      alice amend 1-3 total=1
        rejected 1-16: notOwner (1-3)
      bob amend 9-9 total=1
        rejected 1-17: unknownOrder (9-9)
      """)
  }

  @Test func tombstones() {
    check(
      """
      define BTC-USD
        defined 1-1
      # A cancel that overtakes its order wins; one from another account does not.
      alice cancel 1-4
        (silent)
      bob cancel 1-5
        (silent)
      alice buy 5 @ 100
        accepted 1-4
        cancelled 1-4 with 5: tombstone
      alice buy 5 @ 100
        accepted 1-5
        rested 1-5 with 5
      alice cancel id=7
        (silent)
      alice buy 5 @ 100 id=7
        accepted 1-7
        cancelled 1-7 with 5: tombstone
      # The tombstone is used up, the id is taken.
      alice buy 6 @ 100 id=7
        rejected 1-8: duplicateID (1-7)
      alice cancel id=8
        (silent)
      wait 601s
      alice buy 5 @ 100 id=8
        accepted 1-10
        rested 1-10 with 5
      book
        BTC-USD
          buy 10 @ 100: 1-5×5 1-10×5
      """)
  }

  @Test func clientOrderIDs() {
    check(
      """
      define BTC-USD
        defined 1-1
      alice buy 5 @ 100 id=7
        accepted 1-2
        rested 1-2 with 5
      # The same again, perhaps through another node: the first one stands.
      alice buy 5 @ 100 id=7
        rejected 1-3: repeated (1-2)
      alice buy 6 @ 100 id=7
        rejected 1-4: duplicateID (1-2)
      # Everybody has their own ids.
      bob buy 6 @ 100 id=7
        accepted 1-5
        rested 1-5 with 6
      bob cancel id=7
        cancelled 1-5 with 6: requested
      bob buy 6 @ 100 id=7
        rejected 1-7: repeated (1-5)
      wait 600s
      bob buy 6 @ 100 id=7
        rejected 1-8: repeated (1-5)
      wait 2s
      # Forgotten; but an order that was made before that is refused.
      bob buy 6 @ 100 id=7 age=602
        rejected 1-9: stale
      bob buy 6 @ 100 id=7
        accepted 1-10
        rested 1-10 with 6
      # As long as its order rests an id is not forgotten.
      alice buy 6 @ 100 id=7
        rejected 1-11: duplicateID (1-2)
      # A rejected order takes no id.
      alice buy 0 @ 100 id=9
        rejected 1-12: invalidQuantity
      alice buy 1 @ 100 id=9
        accepted 1-13
        rested 1-13 with 1
      """)
  }

  @Test func instruments() {
    check(
      """
      define BTC-USD
        defined 1-1
      define BTC-USD
        rejected 1-2: instrumentExists
      define ETH-USD
        defined 1-3
      alice buy 5 @ 100 of=1-2
        rejected 1-4: unknownInstrument
      alice buy 5 @ 100 of=1-3
        accepted 1-5
        rested 1-5 with 5
      alice buy 5 @ 100 of=1-9
        rejected 1-6: unknownInstrument
      nothing
      alice buy 5 @ 0
        rejected 1-8: invalidPrice
      alice buy 0 @ 5
        rejected 1-9: invalidQuantity
      alice buy 5 @ 4611686018427387905
        rejected 1-10: invalidPrice
      alice buy 4611686018427387904 @ 1
        accepted 1-11
        rested 1-11 with 4611686018427387904
      alice sell 1 @ 4611686018427387904
        accepted 1-12
        rested 1-12 with 1
      book
        BTC-USD
          sell 1 @ 4611686018427387904: 1-12×1
          buy 4611686018427387904 @ 1: 1-11×4611686018427387904
        ETH-USD
          buy 5 @ 100: 1-5×5
      """)
  }
}
