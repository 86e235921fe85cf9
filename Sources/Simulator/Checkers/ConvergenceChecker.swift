import EventLog
import OrderBook
import Primitives
import Replica

/// Replicas that applied the same entries hold the same book, and every replica makes the same entries final, in the
/// same order, with the same events.
struct ConvergenceChecker: Checker {
  let name = "convergence"

  private struct Final {
    var key: OrderKey
    var sequence: UInt64
    var digest: UInt64
  }

  /// What became final, in order, as the first node that came so far told it.
  private var history: [Final] = []
  /// How far each node has told it.
  private var told: [Int]
  /// Book hashes by vector of applied entries, newest last.
  private var books: [Hash256: (book: Hash256, node: Int)] = [:]
  private var order: [Hash256] = []
  private static let booksMax = 4_096

  init(nodes: Int) { told = Array(repeating: 0, count: nodes) }

  mutating func started(_ node: SimulatedNode, _ world: Simulation) {
    told[node.index] = Int(node.process?.replica.restoredEntries ?? 0)
  }

  mutating func finalised(_ run: AppliedRun, _ node: SimulatedNode, _ world: Simulation) -> String? {
    if let anew = run.anew { told[node.index] = Int(anew.entries) }
    for index in run.items.indices {
      if node.tellsLies || told[node.index] > history.count {
        told[node.index] += 1
        continue
      }
      let item = run.items[index]
      var digest = RunHash()
      var hasher = EventDigest()
      for event in run.events(at: index) { hasher.take(event) }
      digest.mix(hasher.value)
      let final = Final(key: item.key, sequence: item.dot.sequence, digest: digest.first)
      let place = told[node.index]
      told[node.index] += 1
      if place == history.count {
        if let last = history.last, final.key <= last.key {
          return "\(node.name) made \(item.dot) final after \(last.key.origin)-\(last.sequence), which is later"
        }
        history.append(final)
        continue
      }
      let known = history[place]
      if known.key != final.key || known.sequence != final.sequence {
        return "\(node.name) has \(item.dot) (\(final.key)) at place \(place + 1) of what is final, another node had "
          + "\(known.key.origin)-\(known.sequence) (\(known.key))"
      }
      if known.digest != final.digest {
        return "\(node.name) derives other events from \(item.dot) than another node did: "
          + "\(Array(run.events(at: index)))"
      }
    }
    return nil
  }

  mutating func noticed(_ notice: Notice, _ node: SimulatedNode, _ world: Simulation) -> String? {
    switch notice {
    case .bookMismatch where world.hadDamage: nil
    case .bookMismatch, .fork: "\(node.name) noticed: \(notice)"
    default: nil
    }
  }

  mutating func sample(_ world: Simulation) -> String? {
    for node in world.nodes {
      // What is not on disk yet may be lost, and other entries may come to stand in its place: nobody else has seen it.
      guard let process = node.process, process.commitUnderWay == nil, node.damage == nil,
        process.replica.healthState.serves
      else { continue }
      let applied = process.replica.appliedHash()
      let book = process.replica.bookHash()
      if let known = books[applied] {
        if known.book != book {
          return "\(node.name) has another book than n\(known.node + 1) for the same applied entries: "
            + "\(book.prefix(12)) and \(known.book.prefix(12))"
        }
        continue
      }
      books[applied] = (book, node.index)
      order.append(applied)
      if order.count > Self.booksMax {
        for old in order.prefix(Self.booksMax / 2) { books[old] = nil }
        order.removeFirst(Self.booksMax / 2)
      }
    }
    return nil
  }

  mutating func end(_ world: Simulation) -> String? {
    if let text = sample(world) { return text }
    let running = world.nodes.filter { $0.process != nil }
    let books = running.map { $0.process?.replica.bookHash() }
    for (node, book) in zip(running, books) where book != books[0] {
      return "\(node.name) ends with another book than \(running[0].name)"
    }
    return nil
  }
}

/// A checksum of events, field by field: cheap, and the same in every process.
struct EventDigest {
  private(set) var value: UInt64 = 0x9E37_79B9_7F4A_7C15

  @inline(__always) private mutating func mix(_ word: UInt64) {
    value = (value ^ word) &* 0x9FB2_1C65_1E98_DF25
    value ^= value >> 31
  }

  @inline(__always) private mutating func mix(tag: UInt64) { mix(tag) }
  @inline(__always) private mutating func mix(_ dot: Dot) { mix(dot.sequence << 16 ^ UInt64(dot.origin.value)) }
  @inline(__always) private mutating func mix(_ value: Int64) { mix(UInt64(bitPattern: value)) }

  mutating func take(_ event: OrderEvent) {
    switch event {
    case .accepted(let order):
      mix(tag: 1)
      mix(order)
    case .waiting(let order, let open):
      mix(tag: 2)
      mix(order)
      mix(open)
    case .triggered(let order):
      mix(tag: 3)
      mix(order)
    case .rested(let order, let open):
      mix(tag: 4)
      mix(order)
      mix(open)
    case .refreshed(let order, let visible):
      mix(tag: 5)
      mix(order)
      mix(visible)
    case .filled(let fill):
      mix(tag: 6)
      mix(fill.instrument)
      mix(fill.maker)
      mix(fill.taker)
      mix(UInt64(fill.takerSide.rawValue))
      mix(fill.priceTicks)
      mix(fill.quantityLots)
      mix(fill.makerOpenLots)
      mix(fill.takerOpenLots)
    case .cancelled(let order, let reason, let open):
      mix(7 << 8 | UInt64(reason.rawValue))
      mix(order)
      mix(open)
    case .expired(let order, let open):
      mix(tag: 8)
      mix(order)
      mix(open)
    case .reduced(let order, let lots, let open):
      mix(tag: 9)
      mix(order)
      mix(lots)
      mix(open)
    case .amended(let order, let by, let price, let open, let reduced):
      mix(tag: 10)
      mix(order)
      mix(by)
      mix(price)
      mix(open)
      mix(reduced)
    case .rejected(let entry, let reason, let order):
      mix(11 << 8 | UInt64(reason.rawValue))
      mix(entry)
      mix(order)
    case .instrumentDefined(let entry):
      mix(tag: 12)
      mix(entry)
    }
  }
}
