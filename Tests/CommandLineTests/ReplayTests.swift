import Flow
import OrderBook
import Primitives
import Testing

@testable import rialto

/// Small files of each order type, whose events were worked out by hand.
@Suite("Replay")
struct ReplayTests {
  private struct Result {
    var trades = ""
    var events = ""
    var book = ""
    var stops = ""
    var counts = ReplayCounts()
    var restingOrders = 0
    var waitingStops = 0
  }

  /// What a replay of these rows says; each part without its header line.
  private func replay(_ rows: String) throws -> Result {
    let operations = try FlowFile.parse(Array(rows.utf8))
    var trades: [UInt8] = []
    var events: [UInt8] = []
    var replay = Replay()
    try replay.run(operations, trades: { trades += $0 }, events: { events += $0 })
    func body(_ bytes: [UInt8]) -> String {
      String(decoding: bytes[((bytes.firstIndex(of: UInt8(ascii: "\n")) ?? 0) + 1)...], as: UTF8.self)
    }
    return Result(
      trades: body(trades), events: body(events), book: body(replay.bookCSV()),
      stops: body(replay.stopsCSV(operations)), counts: replay.counts, restingOrders: replay.restingOrders,
      waitingStops: replay.waitingStops)
  }

  @Test("an iceberg shows its display quantity and goes to the back when it shows more")
  func iceberg() throws {
    let result = try replay(
      """
      op,id,side,price,qty,display
      L,1,S,100,12,5
      L,2,S,100,4,
      L,3,B,100,11,
      """)
    #expect(
      result.events == """
        1,accepted,1,,,,,,
        1,rested,1,,,12,,,
        2,accepted,2,,,,,,
        2,rested,2,,,4,,,
        3,accepted,3,,,,,,
        3,filled,1,100,5,7,,3,6
        3,refreshed,1,,5,,,,
        3,filled,2,100,4,0,,3,2
        3,filled,1,100,2,5,,3,0

        """)
    #expect(result.trades == "1,3,100,5\n2,3,100,4\n1,3,100,2\n")
    #expect(result.book == "S,100,1,3\n")
    #expect(result.counts.refreshed == 1 && result.counts.accepted == 3 && result.counts.tradedLots == 11)
  }

  @Test("stops wait, are triggered by trades one after the other, or enter at once")
  func stops() throws {
    let result = try replay(
      """
      op,id,side,price,qty,stop
      L,1,B,99,5,
      L,2,B,98,5,
      M,3,S,,4,99
      L,4,S,97,3,98
      L,5,S,99,2,
      M,6,S,,2,100
      L,7,B,101,5,105
      C,7,,,,
      L,8,B,101,5,106
      M,9,B,,1,107
      """)
    #expect(
      result.events == """
        1,accepted,1,,,,,,
        1,rested,1,,,5,,,
        2,accepted,2,,,,,,
        2,rested,2,,,5,,,
        3,accepted,3,,,,,,
        3,waiting,3,,,4,,,
        4,accepted,4,,,,,,
        4,waiting,4,,,3,,,
        5,accepted,5,,,,,,
        5,filled,1,99,2,3,,5,0
        5,triggered,3,,,,,,
        5,filled,1,99,3,0,,3,1
        5,filled,2,98,1,4,,3,0
        5,triggered,4,,,,,,
        5,filled,2,98,3,1,,4,0
        6,accepted,6,,,,,,
        6,triggered,6,,,,,,
        6,filled,2,98,1,0,,6,1
        6,cancelled,6,,1,0,market,,
        7,accepted,7,,,,,,
        7,waiting,7,,,5,,,
        8,cancelled,7,,5,0,requested,,
        9,accepted,8,,,,,,
        9,waiting,8,,,5,,,
        10,accepted,9,,,,,,
        10,waiting,9,,,1,,,

        """)
    #expect(result.trades == "1,5,99,2\n1,3,99,3\n2,3,98,1\n2,4,98,3\n2,6,98,1\n")
    #expect(result.counts.triggered == 3 && result.counts.cancelled[.requested] == 1)
    #expect(result.counts.cancelled[.market] == 1 && result.counts.cancelled.total == 2)
    #expect(result.restingOrders == 0 && result.waitingStops == 2 && result.book.isEmpty)
    #expect(result.stops == "B,106,101,5,8\nB,107,,1,9\n")
  }

  @Test("what is good till date leaves before the row that comes so many rows later")
  func goodTillDate() throws {
    let result = try replay(
      """
      op,id,side,price,qty,tif,expire
      L,1,S,100,5,GTD,3
      L,2,S,101,5,GTD,1000
      L,3,B,100,2,,
      L,4,B,100,2,,
      L,5,B,99,1,GTD,0
      L,6,B,99,1,GTD,1
      C,6,,,,,
      """)
    #expect(
      result.events == """
        1,accepted,1,,,,,,
        1,rested,1,,,5,,,
        2,accepted,2,,,,,,
        2,rested,2,,,5,,,
        3,accepted,3,,,,,,
        3,filled,1,100,2,3,,3,0
        4,expired,1,,3,0,,,
        4,accepted,4,,,,,,
        4,rested,4,,,2,,,
        5,rejected,5,,,,invalidExpiry,,
        6,accepted,6,,,,,,
        6,rested,6,,,1,,,
        7,expired,6,,1,0,,,
        7,rejected,6,,,,notOpen,6,

        """)
    #expect(result.counts.expired == 2 && result.counts.rejected.total == 2)
    #expect(result.book == "B,100,1,2\nS,101,1,5\n" && result.restingOrders == 2)
  }

  @Test("a post-only order that would trade is rejected, and its id is taken")
  func postOnly() throws {
    let result = try replay(
      """
      op,id,side,price,qty,post_only
      L,1,S,100,5,1
      L,2,B,100,5,1
      L,2,B,100,5,1
      L,2,B,99,5,true
      L,3,B,99,5,true
      R,3,,100,4,
      I,4,B,100,1,1
      """)
    #expect(
      result.events == """
        1,accepted,1,,,,,,
        1,rested,1,,,5,,,
        2,rejected,2,,,,wouldTrade,,
        3,rejected,2,,,,repeated,2,
        4,rejected,2,,,,duplicateID,2,
        5,accepted,3,,,,,,
        5,rested,3,,,5,,,
        6,rejected,3,,,,wouldTrade,3,
        7,rejected,4,,,,invalidCombination,,

        """)
    #expect(result.trades.isEmpty && result.book == "B,99,1,5\nS,100,1,5\n")
    #expect(result.counts.rejected[.wouldTrade] == 2 && result.counts.accepted == 2)
    #expect(result.counts.rejected.text == "5: wouldTrade 2, duplicateID 1, repeated 1, invalidCombination 1")
  }

  @Test("each way to keep an account from trading with itself")
  func selfTradePrevention() throws {
    let result = try replay(
      """
      op,id,side,price,qty,account,stp,display
      L,1,S,100,5,1,,
      L,2,S,100,5,2,,
      L,3,B,100,8,2,cancel_newest,
      L,4,B,100,8,2,cancel_oldest,
      L,5,S,100,3,2,cancel_both,
      L,6,B,100,8,2,,
      L,7,B,100,2,3,,
      L,8,S,100,9,2,decrement,
      L,9,S,100,1,3,decrement,
      L,10,S,100,10,,,3
      L,11,B,100,3,1,decrement,
      L,12,B,100,1,1,none,
      """)
    #expect(
      result.events == """
        1,accepted,1,,,,,,
        1,rested,1,,,5,,,
        2,accepted,2,,,,,,
        2,rested,2,,,5,,,
        3,accepted,3,,,,,,
        3,filled,1,100,5,0,,3,3
        3,cancelled,3,,3,0,selfTrade,,
        4,accepted,4,,,,,,
        4,cancelled,2,,5,0,selfTrade,,
        4,rested,4,,,8,,,
        5,accepted,5,,,,,,
        5,cancelled,4,,8,0,selfTrade,,
        5,cancelled,5,,3,0,selfTrade,,
        6,accepted,6,,,,,,
        6,rested,6,,,8,,,
        7,accepted,7,,,,,,
        7,rested,7,,,2,,,
        8,accepted,8,,,,,,
        8,reduced,6,,8,0,,,
        8,reduced,8,,8,1,,,
        8,cancelled,6,,0,0,selfTrade,,
        8,filled,7,100,1,1,,8,0
        9,accepted,9,,,,,,
        9,reduced,7,,1,0,,,
        9,reduced,9,,1,0,,,
        9,cancelled,7,,0,0,selfTrade,,
        9,cancelled,9,,0,0,selfTrade,,
        10,accepted,10,,,,,,
        10,rested,10,,,10,,,
        11,accepted,11,,,,,,
        11,reduced,10,,3,7,,,
        11,reduced,11,,3,0,,,
        11,refreshed,10,,3,,,,
        11,cancelled,11,,0,0,selfTrade,,
        12,accepted,12,,,,,,
        12,filled,10,100,1,6,,12,0

        """)
    #expect(result.counts.reducedLots == 24 && result.counts.cancelled[.selfTrade] == 8)
    #expect(result.counts.trades == 3 && result.book == "S,100,1,2\n")
  }

  @Test("fill or kill counts what is hidden, and stops counting at an order of its own account")
  func fillOrKill() throws {
    let result = try replay(
      """
      op,id,side,price,qty,account,stp,display
      L,1,S,100,4,1,,2
      F,2,B,100,4,2,,
      L,3,S,100,3,1,,1
      L,4,S,100,1,2,,
      F,5,B,100,2,2,cancel_newest,
      F,6,B,100,3,2,cancel_oldest,
      F,7,B,100,1,2,,
      """)
    #expect(
      result.events == """
        1,accepted,1,,,,,,
        1,rested,1,,,4,,,
        2,accepted,2,,,,,,
        2,filled,1,100,2,2,,2,2
        2,refreshed,1,,2,,,,
        2,filled,1,100,2,0,,2,0
        3,accepted,3,,,,,,
        3,rested,3,,,3,,,
        4,accepted,4,,,,,,
        4,rested,4,,,1,,,
        5,accepted,5,,,,,,
        5,cancelled,5,,2,0,fillOrKill,,
        6,accepted,6,,,,,,
        6,filled,3,100,1,2,,6,2
        6,refreshed,3,,1,,,,
        6,cancelled,4,,1,0,selfTrade,,
        6,filled,3,100,1,1,,6,1
        6,refreshed,3,,1,,,,
        6,filled,3,100,1,0,,6,0
        7,accepted,7,,,,,,
        7,cancelled,7,,1,0,fillOrKill,,

        """)
    #expect(result.counts.trades == 5 && result.restingOrders == 0)
  }

  @Test("what makes no sense is rejected with its reason, and the rest goes on")
  func rejections() throws {
    let result = try replay(
      """
      op,id,side,price,qty,account,tif,expire,display,stop,stp,post_only
      L,1,B,0,1,,,,,,,
      L,1,B,1,0,,,,,,,
      L,1,B,1,1,,,,2,,,
      L,1,B,1,1,,,,-1,,,
      M,1,B,,1,,,,,-1,,
      L,1,B,4611686018427387904,4611686018427387904,,,,,,,
      L,1,B,1,1,,GTD,,,,,
      L,1,B,1,1,,GTD,-3,,,,
      M,1,B,,1,,GTD,3,,,,
      I,1,B,1,2,,,,1,,,
      L,1,B,1,1,2,,,,5,,true
      L,1,B,1,1,7,,,,,,
      C,1,,,,8,,,,,,
      R,1,,2,2,,,,,,,
      C,1,,,,7,,,,,,
      """)
    let reasons = result.events.split(separator: "\n").compactMap { line -> Substring? in
      let fields = line.split(separator: ",", omittingEmptySubsequences: false)
      return fields[1] == "rejected" ? fields[6] : nil
    }
    #expect(
      reasons == [
        "invalidPrice", "invalidQuantity", "invalidDisplay", "invalidDisplay", "invalidStop", "notionalOverflow",
        "invalidExpiry", "invalidExpiry", "invalidCombination", "invalidCombination", "invalidCombination",
        "unknownOrder", "unknownOrder",
      ])
    #expect(result.counts.accepted == 1 && result.counts.cancelled[.requested] == 1)
    #expect(result.counts.rejected[.unknownOrder] == 2, "ids of other accounts are other ids")
  }

  @Test("a round of operations does not end what belongs together")
  func manyRounds() throws {
    let operations = ContiguousArray(
      RandomFlow(seed: 2, configuration: RandomFlow.Configuration(mix: .all)).prefix(9_000))
    var events: [UInt8] = []
    var replay = Replay()
    try replay.run(operations, events: { events += $0 })
    var last = 0
    var seen = 0
    for line in String(decoding: events, as: UTF8.self).split(separator: "\n").dropFirst() {
      let fields = line.split(separator: ",", omittingEmptySubsequences: false)
      let number = try #require(Int(fields[0]))
      #expect(fields.count == 9 && (last...operations.count).contains(number))
      if ["accepted", "rejected"].contains(fields[1]) {
        #expect(fields[2] == "\(operations[number - 1].id)")
        seen += 1
      }
      last = number
    }
    #expect(seen == replay.counts.accepted + replay.counts.rejected.total)
    #expect(seen > 4_000 && replay.counts.expired > 10 && replay.counts.triggered > 10)
  }

  /// The trades of a file without further columns are what they have been since the first release.
  @Test func tradesHashOfAPlainFile() throws {
    var replay = Replay()
    try replay.run(ContiguousArray(RandomFlow(seed: 7).prefix(1_000)))
    #expect(replay.counts.trades == 47 && replay.counts.tradedLots == 50_500_000)
    #expect(replay.restingOrders == 194 && replay.counts.rejected.total == 0)
    #expect(
      replay.tradesHash().description == "21dfd69846d6022de9a5dce8dbdf30bd30c51860c94c88ed2aeee439eea0cb8a")
  }

  @Test func reasonsAreCounted() {
    var counts = ReasonCounts<CancelReason>()
    #expect(counts.text == "0" && counts.json.text == "{}")
    for reason in [CancelReason.market, .tombstone, .tombstone] { counts.add(reason) }
    #expect(counts.text == "3: tombstone 2, market 1")
    #expect(counts.json.text == #"{"tombstone":2,"market":1}"#)
  }
}
