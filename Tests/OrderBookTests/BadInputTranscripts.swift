import Testing

/// What is wrong with an order, by example. Of several flaws the first in the order of these tests is told.
@Suite(.serialized) struct BadInputTranscripts {
  @Test func values() {
    check(
      """
      define BTC-USD
        defined 1-1
      alice buy 0 @ 0 of=9-9
        rejected 1-2: unknownInstrument
      # Quantities are 1 to 2^62.
      alice buy 0 @ 0
        rejected 1-3: invalidQuantity
      alice buy -1 market
        rejected 1-4: invalidQuantity
      alice buy 4611686018427387905 market
        rejected 1-5: invalidQuantity
      # So are limit prices; market orders and stops have none.
      alice buy 1 @ 0 show=9
        rejected 1-6: invalidPrice
      alice buy 1 @ -1
        rejected 1-7: invalidPrice
      alice buy 1 @ 4611686018427387905
        rejected 1-8: invalidPrice
      alice buy 1 market price=5
        rejected 1-9: invalidPrice
      alice buy 1 stop=5 price=5
        rejected 1-10: invalidPrice
      alice buy 1 @ 0 stop=5
        rejected 1-11: invalidPrice
      # And stop prices; other orders have none.
      alice buy 1 stop=0 until=0s
        rejected 1-12: invalidStop
      alice buy 1 @ 5 stop=-1
        rejected 1-13: invalidStop
      alice buy 1 stop=4611686018427387905
        rejected 1-14: invalidStop
      alice buy 1 @ 5 stop=5 as=limit
        rejected 1-15: invalidStop
      alice buy 1 stop=5 as=market
        rejected 1-16: invalidStop
      alice buy 1 @ 5 as=stop-limit
        rejected 1-17: invalidStop
      # Price times quantity must be less than 2^96.
      alice buy 72057594037927936 @ 1099511627776 show=-1
        rejected 1-18: notionalOverflow
      alice buy 72057594037927935 @ 1099511627776
        accepted 1-19
        rested 1-19 with 72057594037927935
      alice buy 4611686018427387904 @ 4611686018427387904 stop=5
        rejected 1-20: notionalOverflow
      alice buy 4611686018427387904 stop=4611686018427387904
        accepted 1-21
        waiting 1-21 with 4611686018427387904
      # A date must lie after the entry's stamp, and is given with good-till-date only.
      alice buy 1 @ 5 until=0s
        rejected 1-22: invalidExpiry
      alice buy 1 @ 5 till=date
        rejected 1-23: invalidExpiry
      alice buy 1 @ 5 until=60s till=cancel
        rejected 1-24: invalidExpiry
      # What is shown is part of the quantity.
      alice buy 5 market show=-1
        rejected 1-25: invalidDisplay
      alice buy 5 @ 5 show=6
        rejected 1-26: invalidDisplay
      # And large enough: one that meets it trades a thousand slices at most.
      alice buy 1001 @ 5 show=1
        rejected 1-27: invalidDisplay
      alice buy 1000 @ 5 show=1
        accepted 1-28
        rested 1-28 with 1000
      alice amend 1-28 total=1001
        rejected 1-29: invalidDisplay (1-28)
      """)
  }

  @Test func combinations() {
    check(
      """
      define BTC-USD
        defined 1-1
      alice buy 1 market until=60s
        rejected 1-2: invalidCombination
      # What does not rest cannot be post-only, and shows nothing.
      alice buy 1 @ 5 ioc post-only
        rejected 1-3: invalidCombination
      alice buy 1 @ 5 fok post-only
        rejected 1-4: invalidCombination
      alice buy 1 market post-only
        rejected 1-5: invalidCombination
      alice buy 1 stop=5 post-only
        rejected 1-6: invalidCombination
      alice buy 1 @ 5 stop=5 post-only
        rejected 1-7: invalidCombination
      alice buy 2 @ 5 ioc show=1
        rejected 1-8: invalidCombination
      alice buy 2 @ 5 fok show=1
        rejected 1-9: invalidCombination
      alice buy 2 market show=1
        rejected 1-10: invalidCombination
      alice buy 2 stop=5 show=1
        rejected 1-11: invalidCombination
      alice buy 2 @ 5 stop=5 show=1 ioc
        rejected 1-12: invalidCombination
      # A flaw that can be seen takes no id; the id is looked at after all that.
      alice buy 2 market show=1 id=7
        rejected 1-13: invalidCombination
      alice buy 2 market id=7
        accepted 1-14
        cancelled 1-14 with 2: market
      alice buy 2 @ 5 id=8 age=-1
        rejected 1-15: clientTimeAhead
      alice buy 2 @ 5 id=8 age=600
        rejected 1-16: stale
      """)
  }

  @Test func amends() {
    check(
      """
      define BTC-USD
        defined 1-1
      alice sell 9 @ 100
        accepted 1-2
        rested 1-2 with 9
      bob buy 4 @ 100
        accepted 1-3
        filled 4 @ 100: maker 1-2 keeps 5, taker 1-3 keeps 0
      # The order stays as it was.
      alice amend 9-9 price=0
        rejected 1-4: unknownOrder (9-9)
      bob amend 1-2 price=0
        rejected 1-5: notOwner (1-2)
      bob amend 1-3 price=0
        rejected 1-6: notOpen (1-3)
      alice amend 1-2 price=0 total=0
        rejected 1-7: invalidPrice (1-2)
      alice amend 1-2 price=4611686018427387905
        rejected 1-8: invalidPrice (1-2)
      alice amend 1-2 total=0
        rejected 1-9: invalidQuantity (1-2)
      alice amend 1-2 total=4611686018427387905
        rejected 1-10: invalidQuantity (1-2)
      # The total that an open quantity comes to counts, too.
      alice amend 1-2 open=4611686018427387901
        rejected 1-11: invalidQuantity (1-2)
      alice amend 1-2 open=4611686018427387900 price=1099511627776
        rejected 1-12: notionalOverflow (1-2)
      alice amend 1-2 open=4611686018427387900 price=1
        amended 1-2 by 1-13: 4611686018427387900 @ 1, reduced by -4611686018427387895
        rested 1-2 with 4611686018427387900
      # What has traded may not be more than the new total: then the order ends, whatever its new price.
      alice amend 1-2 total=4 price=4611686018427387904
        cancelled 1-2 with 4611686018427387900: requested
      """)
  }
}
