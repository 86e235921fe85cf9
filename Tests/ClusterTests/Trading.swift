import Client
import Foundation
import OrderBook
import Primitives
import Synchronization
import Testing

extension RialtoClient {
  /// Submits one command and expects it to be taken. A node that has just started may want a moment.
  @discardableResult
  func accepted(_ command: Command, after: Stamp = .zero) async throws -> Acceptance {
    try await eventually("the node takes orders") {
      switch try await self.submit([command], after: after)[0] {
      case .accepted(let acceptance): return acceptance
      case .refused(let refusal) where refusal.code == .notReady: return nil
      case .refused(let refusal): throw refusal
      case .unknown(let error): throw error
      }
    }
  }

  /// Waits until the order is in this state.
  @discardableResult
  func order(_ dot: Dot, is status: OrderStatus) async throws -> OrderDetail {
    try await eventually("order \(dot) is \(status)") {
      let detail = try await self.orderIfAny(.dot(dot))
      return detail?.status == status ? detail : nil
    }
  }

  /// Nil if it is not known (yet).
  func orderIfAny(_ reference: OrderReference) async throws -> OrderDetail? {
    do {
      return try await order(reference)
    } catch ClientError.requestRefused(let refusal) where refusal.code == .notFound {
      return nil
    }
  }
}

func nowMilliseconds() -> UInt64 { UInt64(Date().timeIntervalSince1970 * 1000) }

extension Command {
  static func limit(
    _ instrument: Dot, _ side: Side, _ price: Int64, _ quantity: Int64, account: UInt64 = 1,
    id: ClientOrderID = .none, timeInForce: TimeInForce = .goodTillCancel
  ) -> Command {
    .order(
      Order(
        instrument: instrument, account: AccountID(account), side: side, timeInForce: timeInForce, priceTicks: price,
        quantityLots: quantity, clientOrderID: id, clientTimeMilliseconds: id.isNone ? 0 : nowMilliseconds()))
  }

  static func cancel(_ acceptance: Acceptance, account: UInt64 = 1) -> Command {
    .cancel(
      Cancel(account: AccountID(account), target: .dot(acceptance.dot), targetStamp: acceptance.stamp))
  }
}

/// Buys and sells around one price, with some cancels; the same for the same seed.
struct TestFlow {
  private var generator: SeededGenerator
  private let instrument: Dot
  private let account: UInt64
  private var nextID: UInt64
  private(set) var acceptances: [(id: UInt64, acceptance: Acceptance)] = []

  init(_ instrument: Dot, account: UInt64 = 1, seed: UInt64) {
    generator = SeededGenerator(seed: seed)
    self.instrument = instrument
    self.account = account
    nextID = seed * 1_000_000 + 1
  }

  /// One order, of a client order id that no other flow uses.
  mutating func order() -> (id: UInt64, command: Command) {
    let id = nextID
    nextID += 1
    let price = 1_000 + Int64(generator.pick(0...20))
    let command = Command.limit(
      instrument, generator.chance(1, of: 2) ? .buy : .sell, price, Int64(generator.pick(1...9)), account: account,
      id: ClientOrderID(id))
    return (id, command)
  }

  /// Submits `count` orders in small groups; a quarter as many cancels come in between.
  mutating func run(_ count: Int, to client: RialtoClient) async throws {
    var left = count
    while left > 0 {
      let group = (0..<min(left, generator.pick(1...8))).map { _ in order() }
      left -= group.count
      let outcomes = try await client.submit(group.map(\.command))
      for (outcome, order) in zip(outcomes, group) {
        guard case .accepted(let acceptance) = outcome else {
          Issue.record("not accepted: \(outcome)")
          continue
        }
        acceptances.append((order.id, acceptance))
      }
      if generator.chance(1, of: 2), !acceptances.isEmpty {
        let target = acceptances[Int(generator.below(UInt64(acceptances.count)))].acceptance
        try await client.accepted(.cancel(target, account: account))
      }
    }
  }
}

/// What a client was told, as it came.
final class UpdateRecorder: Sendable {
  private let updates = Mutex<[OrderUpdate]>([])

  var record: @Sendable ([OrderUpdate]) -> Void {
    { new in self.updates.withLock { $0 += new } }
  }

  func all(of entry: Dot) -> [OrderUpdate] { updates.withLock { $0.filter { $0.entry == entry } } }

  /// Waits until the newest update of an entry is a rejection for this reason. An entry that comes before its target
  /// may be rejected for another one first.
  @discardableResult
  func rejection(of entry: Dot, for reason: RejectReason) async throws -> OrderUpdate {
    do {
      return try await eventually("rejection of \(entry): \(reason)") {
        let last = self.all(of: entry).last
        return last?.rejectReason == reason ? last : nil
      }
    } catch let error as TimedOut {
      throw TimedOut(description: "\(error.description); told: \(all(of: entry))")
    }
  }

  /// Waits until the newest update of an entry says so.
  @discardableResult
  func last(of entry: Dot, is state: UpdateState) async throws -> OrderUpdate {
    do {
      return try await eventually("update of \(entry): \(state)") {
        let last = self.all(of: entry).last
        return last?.state == state ? last : nil
      }
    } catch let error as TimedOut {
      throw TimedOut(description: "\(error.description); told: \(all(of: entry).map(\.state))")
    }
  }
}
