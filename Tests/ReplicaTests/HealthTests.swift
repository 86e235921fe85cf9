import EventLog
import OrderBook
import Primitives
import Testing

@testable import Replica

/// A replica whose book is wrong finds it, serves nothing, and is back with a right one; one that lies stops nobody.
struct HealthTests {
  /// Nodes that have traded, with orders at rest.
  private static func trading(_ cluster: VirtualCluster, commands: Int, seed: UInt64) -> Dot {
    let instrument = cluster.defineInstrument()
    var workload = Workload(seed: seed, instrument: instrument)
    for count in 0..<commands {
      let time = VirtualCluster.wallStartMilliseconds + cluster.nowMicroseconds / 1000
      cluster.submit([workload.next(clientTimeMilliseconds: time)], to: count % cluster.nodes.count)
      cluster.run(milliseconds: 10)
    }
    return instrument
  }

  private static func states(_ cluster: VirtualCluster, _ index: Int) -> [Finding.State] {
    cluster.nodes[index].notices.compactMap { if case .finding(let finding) = $0 { finding.state } else { nil } }
  }

  @Test(arguments: [3, 2, 1], 1...4 as ClosedRange<UInt64>) func findsItsOwnDamage(_ nodes: Int, _ seed: UInt64) throws
  {
    let cluster = try VirtualCluster(nodes: nodes, seed: seed)
    let instrument = Self.trading(cluster, commands: 150, seed: seed)
    #expect(cluster.settle())
    let victim = nodes - 1
    cluster.give(.inject(.flipBookBit(seed: seed)), to: victim)
    var notice = cluster.nodes[victim].notices.last { if case .injected = $0 { true } else { false } }
    guard case .injected(let flip)? = notice else { return #expect(Bool(false), "nothing was flipped") }
    var found: UInt64?
    for milliseconds in 1...1_500 where found == nil {
      cluster.run(milliseconds: 1)
      if !cluster.nodes[victim].replica.healthState.serves { found = UInt64(milliseconds) }
    }
    #expect(try #require(found) <= 1_100, "a whole pass takes a second")
    // It says no to orders and takes part in everything else.
    let before = cluster.nodes[victim].refused.count
    cluster.submit([.cancelAll(CancelAll(account: AccountID(9), instrument: instrument))], to: victim, request: 9_000)
    #expect(cluster.nodes[victim].refused.dropFirst(before) == [.rebuilding])
    if nodes > 1 {
      cluster.submit([.cancelAll(CancelAll(account: AccountID(9), instrument: instrument))], to: 0, request: 9_001)
    }
    cluster.run(milliseconds: 4_000)
    #expect(cluster.nodes[victim].replica.healthState == .sound)
    #expect(Self.states(cluster, victim).first == .rebuilding && Self.states(cluster, victim).last == .repaired)
    #expect(cluster.settle())
    let hashes = cluster.nodes.map { $0.replica.bookHash() }
    #expect(hashes.allSatisfy { $0 == hashes[0] })
    for node in cluster.nodes where node.index != victim { #expect(node.replica.findings.total == 0) }
    notice = cluster.nodes[victim].notices.last { if case .finding = $0 { true } else { false } }
    guard case .finding(let finding)? = notice else { return #expect(Bool(false), "no finding") }
    #expect(finding.cause == .bookDamage && finding.priceTicks == flip.priceTicks && finding.instrument == instrument)
    if flip.field != .sum {
      let difference = try #require(finding.differences.first)
      #expect(finding.differencesTotal == 1 && difference.dot == flip.order)
      let values = [difference.here, difference.other].map { flip.field == .open ? $0?.openLots : $0?.filledLots }
      #expect(values == [flip.after, flip.before])
    }
    // And it is on disk.
    let record = try #require(cluster.nodes[victim].records.last { $0.key == RecordKey.findings }?.value)
    #expect(try FindingLog(bytes: record) == cluster.nodes[victim].replica.findings)
  }

  @Test(arguments: 1...4 as ClosedRange<UInt64>) func isContradictedByAMajority(_ seed: UInt64) throws {
    let cluster = try VirtualCluster(nodes: 3, seed: seed)
    _ = Self.trading(cluster, commands: 60, seed: seed)
    cluster.give(.inject(.skipFill), to: 2)
    var workload = Workload(seed: seed + 100, instrument: cluster.nodes[2].accepted[0].dot)
    for count in 0..<300 {
      let time = VirtualCluster.wallStartMilliseconds + cluster.nowMicroseconds / 1000
      cluster.submit([workload.next(clientTimeMilliseconds: time)], to: count % 2, request: UInt64(10_000 + count))
      cluster.run(milliseconds: 10)
    }
    cluster.run(milliseconds: 5_000)
    let causes = cluster.nodes[2].replica.findings.findings.map(\.cause)
    #expect(causes == [.contradicted])
    #expect(cluster.nodes[2].replica.healthState == .sound)
    #expect(cluster.rest())
    // What it says of final entries now is what the others say.
    #expect(cluster.nodes[2].final.items == cluster.nodes[0].final.items)
    #expect(cluster.nodes[2].final.events == cluster.nodes[0].final.events)
    // If it was wrong in the open before it knew, it was accused once by each; nobody stopped.
    for index in 0..<2 {
      let findings = cluster.nodes[index].replica.findings.findings
      #expect(findings.count <= 1 && cluster.nodes[index].replica.healthState == .sound)
      for finding in findings { #expect(finding.state == .accused && finding.origin == cluster.origin(2)) }
    }
  }

  @Test(arguments: [2, 3, 5]) func aLiarStopsNobody(_ nodes: Int) throws {
    let cluster = try VirtualCluster(nodes: nodes, seed: 5, liars: [0])
    _ = Self.trading(cluster, commands: 1_500, seed: 5)
    cluster.run(milliseconds: 15_000)
    for node in cluster.nodes where node.index != 0 {
      #expect(node.replica.healthState.serves)
      let findings = node.replica.findings.findings
      #expect(findings.map(\.cause) == [.wrongAttestation], "accused once")
      #expect(findings.first?.origin == cluster.origin(0))
    }
  }

  /// The record is a format: other programs read it.
  @Test func goldenRecord() throws {
    var log = FindingLog()
    var finding = Finding(number: 1, cause: .bookDamage, state: .rebuilding, nowMilliseconds: 1_000)
    finding.damage = .sum
    finding.instrument = Dot(origin: OriginIndex(1), sequence: 2)
    finding.side = .sell
    finding.priceTicks = 100
    finding.orders = [Dot(origin: OriginIndex(3), sequence: 1_234)]
    log.add(finding)
    finding = Finding(number: 2, cause: .contradicted, state: .repaired, nowMilliseconds: 2_000, origin: OriginIndex(4))
    finding.changedMilliseconds = 2_500
    finding.checkpoint = 9
    finding.mine = Hash256(word0: 1, word1: 2, word2: 3, word3: 4)
    finding.entry = Dot(origin: OriginIndex(5), sequence: 6)
    finding.attempts = 2
    let here = RestingOrder(
      dot: Dot(origin: OriginIndex(3), sequence: 7), instrument: Dot(origin: OriginIndex(1), sequence: 2),
      account: AccountID(8), side: .buy, priceTicks: 99, openLots: 5, filledLots: 0, clientOrderID: .none)
    finding.differences = [OrderDifference(dot: here.dot, here: here, other: nil)]
    finding.differencesTotal = 40
    log.add(finding)
    let zero = String(repeating: "00", count: 32)
    let one = (1...4).map { "000000000000000\($0)" }.joined()
    let expected =
      "01" + "02" + "02"
      + "01" + "01" + "02" + "e807" + "e807" + "00" + "00" + zero + zero + "02" + "0102" + "02" + "64" + "01" + "03d209"
      + "0000" + "00" + "00" + "00"
      + "02" + "02" + "03" + "d00f" + "c413" + "05" + "09" + one + zero + "00" + "0000" + "00" + "00" + "00" + "0506"
      + "02" + "28" + "01" + "0307" + "01" + "0102" + "08" + "00" + "63" + "00" + "05" + "00" + "05"
    #expect(log.bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined() == expected)
    #expect(try FindingLog(bytes: log.bytes) == log)
    for count in 0..<log.bytes.count {
      #expect(throws: CodecError.self) { try FindingLog(bytes: Array(log.bytes.prefix(count))) }
    }
    #expect(log.open == 1)
  }

  @Test func keepsTheNewestAndWhatIsOpen() {
    var log = FindingLog()
    for number in 1...UInt64(FindingLog.kept + 10) {
      log.add(
        Finding(number: number, cause: .wrongDigest, state: number == 3 ? .unreconciled : .accused, nowMilliseconds: 1))
    }
    #expect(log.findings.count == FindingLog.kept && log.total == UInt64(FindingLog.kept + 10))
    #expect(log.findings.first?.number == 3 && log.open == 1)
  }
}
