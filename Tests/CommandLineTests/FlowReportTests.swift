import Flow
import OrderBook
import Primitives
import Testing

@testable import rialto

@Suite("Flow report")
struct FlowReportTests {
  @Test func percentilesAreWithinThreePercent() {
    var histogram = LatencyHistogram()
    #expect(histogram.percentile(permille: 500) == .zero)
    for microseconds in 1...100_000 { histogram.record(microseconds: UInt64(microseconds)) }
    for permille in [1, 10, 500, 900, 990, 999, 1_000] {
      let exact = Int64(permille * 100)
      let told = histogram.percentile(permille: permille).microseconds
      #expect(told >= exact && told <= exact + exact / 32 + 1, "\(permille): \(told)")
    }
    #expect(histogram.max == .milliseconds(100))
    #expect(histogram.count == 100_000)
  }

  @Test func histogramsTakeAnyDuration() {
    var histogram = LatencyHistogram()
    for microseconds in [0, 31, 32, 33, UInt64(UInt32.max), .max] { histogram.record(microseconds: microseconds) }
    var sum = LatencyHistogram()
    sum.merge(histogram)
    sum.merge(histogram)
    #expect(sum.count == 12)
    #expect(sum.percentile(permille: 1) == .zero)
    #expect(sum.percentile(permille: 300) == .microseconds(31))
    #expect(sum.maxMicroseconds == .max)
  }

  @Test func theNewestAcknowledgedEntryOfEachOriginIsKept() {
    func dot(_ origin: UInt32, _ sequence: UInt64) -> Dot { Dot(origin: OriginIndex(origin), sequence: sequence) }
    let now = ContinuousClock.now
    var first = FlowCounts()
    for one in [dot(0, 4), dot(0, 2), dot(1, 9)] { first.accept(one, microseconds: 5, at: now) }
    var second = FlowCounts()
    for one in [dot(1, 11), dot(2, 1)] { second.accept(one, microseconds: 5, at: now + .seconds(1)) }
    first.merge(second)
    #expect(first.accepted == 5)
    #expect(first.acknowledged == [dot(0, 4), dot(1, 11), dot(2, 1)])
    #expect(first.lastAccepted == now + .seconds(1))
  }

  @Test func sourcesEnd() {
    let expected = Array(RandomFlow(seed: 4).prefix(50))
    var random = FlowSource(RandomFlow(seed: 4), count: 50)
    var list = FlowSource(ContiguousArray(expected + expected), count: 50)
    for operation in expected {
      #expect(random.next() == operation)
      #expect(list.next() == operation)
    }
    #expect(random.next() == nil && list.next() == nil)
    var whole = FlowSource(ContiguousArray(expected))
    for _ in expected { #expect(whole.next() != nil) }
    #expect(whole.next() == nil)
  }

  @Test func sourcesSayWhoseTheyAreAndWhatAFileOfThemNeeds() throws {
    let own = AccountID(9)
    let rows = "L,1,B,1,1,,\nL,2,B,1,1,5,\nC,2,,,,5,\nL,3,B,1,1,9,2\nL,4,B,1,1,7,\n"
    let file = FlowSource(try FlowFile.parse(Array(("op,id,side,price,qty,account,display\n" + rows).utf8)))
    #expect(file.accounts(besides: own) == [own, AccountID(5), AccountID(7)])
    #expect(file.columns(ofFirst: 1) == [])
    #expect(file.columns(ofFirst: 3) == FlowColumns(.account))
    #expect(file.columns(ofFirst: .max) == [FlowColumns(.account), FlowColumns(.display)])
    #expect(FlowSource(ContiguousArray()).accounts(besides: own) == [own])
    let basic = FlowSource(RandomFlow(seed: 1))
    #expect(basic.accounts(besides: own) == [own] && basic.columns(ofFirst: .max) == [])
    let all = FlowSource(RandomFlow(seed: 1, configuration: RandomFlow.Configuration(mix: .all, firstAccount: 3)))
    #expect(all.accounts(besides: own) == (3...6).map { AccountID($0) })
    #expect(all.columns(ofFirst: .max) == .all)
    #expect(all.columns(ofFirst: 1).contains(FlowColumns(.account)))
  }

  @Test func tooManyAccountsAreRefused() throws {
    let many = (1...UInt64(FlowDriver.accountsMax)).map { AccountID($0) }
    #expect(try Connecting.checked(many) == many)
    #expect(throws: CommandError.self) { try Connecting.checked(many + [AccountID(1_000)]) }
  }
}
