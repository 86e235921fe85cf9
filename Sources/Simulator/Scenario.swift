import OrderBook
import Primitives

/// A script of what happens to a cluster, in a few readable lines.
///
/// ```
/// # A partition heals, and both sides agree
/// nodes 3
/// latency 1 ms
/// at 0 ms    n1 defines BTC-USD
/// at 100 ms  n1 buy 10 @ 100 id a
/// at 150 ms  partition n1 | n2 n3
/// at 200 ms  n2 sell 5 @ 99 id b
/// at 1 s     heal
/// at 5 s     expect agreement
/// at 5 s     expect n1 has bids 5 @ 100
/// ```
///
/// **Settings** come first, one a line: `nodes 3`, `spares 1`, `seed 7`, `fanout 3`, `latency 1 ms` or
/// `latency 1 ms to 5 ms`, `sync 1 ms` or `sync 1 ms to 5 ms`, `transport stream` or `transport datagram`, `loss 10 %`,
/// `duplicates 5 %`. Nodes are members from the beginning, n1 to n3; the spare ones after them, n4, do not run before
/// they are started. What follows is **steps**, each `at` a time that is not before the last one's. Time 0 is when all
/// nodes run, know each other and take orders. Times are whole or decimal: `300 us`, `20 ms`, `1.5 s`. `#` begins a
/// comment.
///
/// A step may wait for something, at most 20 s from its time on: `at 4 s once n1 is member 3 then crash n1`. What may
/// stand there is what may be expected. It is looked for every 50 µs, so such a step hits what lasts less than that
/// from run to run in the same way.
///
/// **Clients** speak to a node, which is where their words arrive:
/// ```
/// n1 defines BTC-USD
/// n1 buy 10 @ 100                      n1 sell 10 market
/// n1 sell 10 stop 95                   n1 sell 10 @ 94 stop 95       a stop, and a stop-limit
///   show 3  post-only  ioc  fok        an iceberg; flags
///   until 500 ms                       good till that long after it was sent
///   stp cancel-newest                  or cancel-oldest, cancel-both, decrement
///   id a  account 2                    the account is the node's number if it is not said
///   of ETH-USD                         the first symbol that is defined if it is not said
///   after b                            the client has seen the answer to b: stamp it later
/// n2 repeats a                         the same order, as its client sent it first, to another node
/// n1 cancel a  [known] [account 2]     `known`: its client has seen that a was accepted
/// n1 amend a  [price 101] [total 9] [open 3] [requeue] [known] [account 2]
/// n1 cancel-all  [of BTC-USD] [account 2]
/// ```
/// An order is named by its id (the first order that had it) or by its dot, which transcripts show: `cancel 0-2`. A
/// cancel or amend is of the account that placed the id, if none is said.
///
/// **Faults** last for the time that is said, or else until `heal`, which ends all of them and starts what is down:
/// ```
/// partition n1 | n2 n3 for 2 s         the two sides do not hear each other
/// cut n1 -> n2 n3 for 2 s              what n1 says does not reach n2 and n3
/// cut n1 - n2                          one link, both ways
/// reset n1 - n2                        a connection is reset: what was on its way is lost
/// pause n1 for 2 s                     slow n1 by 20 ms for 2 s
/// crash n1 for 300 ms                  power loss for 300 ms         killed, and started again after that
/// clock n1 ahead 5 s for 2 s           clock n1 back 5 s
/// slow disk n1 by 50 ms for 2 s        fail sync n1 for 300 ms       the latter ends the process
/// full disk n1 for 2 s                 read error n1 for 2 s         the latter kills it, and it cannot start
/// flip bit n1 in 1-2 for 300 ms        in the stored batch with that entry; killed, and started again after that
/// wipe n1 for 300 ms                   likewise
/// leave n1 for 5 s                     asked to leave, as by SIGTERM; started again after that
/// loss 10 % for 2 s                    duplicates 10 % for 2 s       needs `transport datagram`
/// start n1                             before the time that a fault gave it; or a spare one
/// ```
///
/// **Expectations** are checked at their time, of one node, several, or `all`:
/// ```
/// expect agreement                     nodes that run applied the same entries and have the same book
/// expect nothing tentative
/// expect n1 has bids 5 @ 100, 3 @ 99   asks likewise; all levels, best first; `expect all have no asks`
/// expect n1 has trades 5 @ 100         all final ones in order, then tentative ones by their takers' age; `no trades`
/// expect n1 has a open 5               also: pending, partially-filled 5, filled, cancelled, expired,
///                                      rejected duplicateID; then `tentative` or `final`, if it matters
/// expect n3 lacks a
/// expect a void                        the first a was cut off with the end of a sealed log; elsewhere a then is what
///                                      its node sent again for it
/// expect a told open 5                 what its client heard last; statuses as above
/// expect n1 is running                 or: down; out: data was lost (words of the reason)
/// expect n1 is member 3                as which its entries are written: 3-1, 3-2, …
/// expect n4 follows                    runs, and is no member
/// expect n1 is wedged                  has promised to change its view, and waits for the next one
/// expect view 2 of n1 n2               they are its members, and those of them that run have entered it
/// expect a accepted                    or: unanswered; refused: notReady. What its client was told at once
/// ```
package struct Scenario: Equatable, Sendable {
  package static let nodesMax = 16
  static let linesMax = 2_000

  package var settings = Settings()
  /// In order of time.
  package var steps: [Step] = []
  /// The whole text, line by line, as a transcript shows it.
  var lines: [String] = []

  package struct Settings: Equatable, Sendable {
    package var nodes = 3
    var spares = 0
    /// Members from the beginning, and the others.
    var machines: Int { nodes + spares }
    var seed: UInt64 = 1
    var fanout = 3
    /// In microseconds.
    var latency: ClosedRange<UInt64> = 1_000...1_000
    var sync: ClosedRange<UInt64> = 500...500
    var transport = SimulationProfile.Transport.stream
    var lossPerMille: UInt64 = 0
    var duplicatePerMille: UInt64 = 0
  }

  package struct Step: Equatable, Sendable {
    /// Number of its line, from 1.
    package var line: Int
    /// Microseconds.
    package var at: UInt64
    /// What it says, after its time.
    package var text: String
    /// What must be so before it is done.
    var condition: Expectation?
    var action: Action
  }

  enum Action: Equatable, Sendable {
    case request(node: Int, Request)
    case fault(ScenarioFault)
    case start(node: Int)
    case heal
    case expect(Expectation)
  }

  /// How a script names an order.
  enum OrderName: Equatable, Sendable, CustomStringConvertible {
    case id(String)
    case dot(Dot)

    init(_ word: String) { self = Dot(word).map { .dot($0) } ?? .id(word) }

    var description: String {
      switch self {
      case .id(let id): id
      case .dot(let dot): "\(dot)"
      }
    }
  }

  /// What a client asks of a node. Stamps, times and instruments are filled in when it is sent.
  enum Request: Equatable, Sendable {
    case define(Symbol)
    case order(OrderRequest)
    case repeats(String)
    case cancel(OrderName, account: AccountID, isKnown: Bool)
    case amend(OrderName, Amend, isKnown: Bool)
    case cancelAll(AccountID, of: Symbol?)
  }

  struct OrderRequest: Equatable, Sendable {
    var order: Order
    var symbol: Symbol?
    var untilMilliseconds: UInt64?
    var after: OrderName?
  }

  /// Something that goes wrong at a step.
  struct ScenarioFault: Equatable, Sendable {
    enum Kind: Equatable, Sendable {
      case world(FaultKind)
      /// One way: what the ones say does not reach the others.
      case cut(from: [Int], to: [Int])
      /// A bit of the stored batch with this entry.
      case flippedBit(Dot)
      case loss(perMille: UInt64)
      case duplicates(perMille: UInt64)
    }
    var kind: Kind
    var node = 0
    /// What the simulator's fault needs besides.
    var detail: UInt64 = 0
    /// How slow, in microseconds.
    var slowness: UInt64?
    /// Microseconds; nil lasts until healed.
    var duration: UInt64?
  }

  struct Level: Equatable, Sendable, CustomStringConvertible {
    var quantityLots: Int64
    var priceTicks: Int64
    var description: String { "\(quantityLots) @ \(priceTicks)" }
  }

  enum Expectation: Equatable, Sendable {
    case agreement
    case nothingTentative
    case levels(nodes: [Int], Side, [Level])
    case trades(nodes: [Int], [Level])
    case order(nodes: [Int], OrderName, OrderExpectation)
    case lacks(nodes: [Int], OrderName)
    case condition(nodes: [Int], Condition)
    case view(UInt64, members: [Int])
    case void(OrderName)
    case answer(OrderName, Answer)
    case told(OrderName, OrderExpectation)
  }

  struct OrderExpectation: Equatable, Sendable {
    var status: OrderStatus
    var openLots: Int64?
    var reason: RejectReason?
    var isFinal: Bool?
  }

  enum Condition: Equatable, Sendable {
    case running
    case down
    case out(String)
    case member(OriginIndex)
    case following
    case wedged
  }

  enum Answer: Equatable, Sendable {
    case accepted
    case unanswered
    case refused(String)
  }
}

/// Why a text is no scenario.
package struct ScenarioError: Error, Equatable, Sendable, CustomStringConvertible {
  /// From 1.
  package var line: Int
  package var expected: String
  /// The word that is there instead; nil at the end of the line.
  package var word: String?

  package var description: String {
    "line \(line): expected \(expected), found \(word.map { "‘\($0)’" } ?? "the end of the line")"
  }
}
