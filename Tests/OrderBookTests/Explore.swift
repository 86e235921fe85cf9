import Foundation
import OrderBook
import Primitives

/// Runs `problem` over random flows; a failure prints the seed and the shortest sequence of commands that was found.
///
/// Dots and stamps stay what they were: shrinking replaces commands by nothing, or by simpler ones. With `RIALTO_SEEDS`
/// in the environment, for example `1000-2000`, other seeds are run instead of those of `seeds`.
func explore(
  _ profile: FlowProfile = .mixed, seeds: ClosedRange<UInt64>, entries count: Int,
  problem: (_ entries: [Entry], _ seed: UInt64) -> String?
) -> String? {
  for seed in seedsOfEnvironment ?? seeds {
    var flow = RandomFlow(seed: seed, profile)
    let entries = flow.entries(count)
    guard let found = problem(entries, seed) else { continue }
    let (shortest, last) = shrink(entries, found) { problem($0, seed) }
    let commands = shortest.filter { $0.command != nil }.map(\.description).joined(separator: "\n")
    return """
      profile \(profile.name), seed \(seed): \(last)
      (at first: \(found))
      again: RIALTO_SEEDS=\(seed)-\(seed) swift test --filter OrderBookTests
      \(commands)
      """
  }
  return nil
}

private let seedsOfEnvironment: ClosedRange<UInt64>? = {
  guard let text = ProcessInfo.processInfo.environment["RIALTO_SEEDS"] else { return nil }
  let ends = text.split(separator: "-").compactMap { UInt64($0) }
  guard let first = ends.first, let last = ends.last, ends.count <= 2, first <= last else {
    preconditionFailure("RIALTO_SEEDS is a range such as 1000-2000, not \(text)")
  }
  return first...last
}()

/// Drops commands in ever smaller runs, then makes those that are left simpler, as long as there is a problem.
private func shrink(
  _ entries: [Entry], _ found: String, problem: ([Entry]) -> String?
) -> (entries: [Entry], found: String) {
  var shortest = entries
  var found = found
  func keeps(_ candidate: [Entry]) -> Bool {
    guard let still = problem(candidate) else { return false }
    shortest = candidate
    found = still
    return true
  }
  // What comes after the problem has nothing to do with it.
  var length = shortest.count / 2
  while length > 0 {
    while shortest.count > length && keeps(Array(shortest.dropLast(length))) {}
    length /= 2
  }
  var stride = shortest.count / 2
  while stride > 0 {
    for start in Swift.stride(from: 0, to: shortest.count, by: stride) {
      let run = start..<min(start + stride, shortest.count)
      if shortest[run].allSatisfy({ $0.command == nil }) { continue }
      var candidate = shortest
      for index in run { candidate[index].command = nil }
      _ = keeps(candidate)
    }
    stride /= 2
  }
  for index in shortest.indices {
    guard let command = shortest[index].command else { continue }
    for step in 0..<command.simplifications.count {
      // Each from what the one before has left.
      guard let simpler = shortest[index].command?.simplifications[step], simpler != shortest[index].command else {
        continue
      }
      var candidate = shortest
      candidate[index].command = simpler
      _ = keeps(candidate)
    }
  }
  return (shortest, found)
}

extension Command {
  /// The same command with one thing made plain; how many there are depends only on the kind of command.
  fileprivate var simplifications: [Command] {
    switch self {
    case .order(let order):
      let changes: [(inout Order) -> Void] = [
        {
          $0.clientOrderID = .none
          $0.clientTimeMilliseconds = 0
        },
        { $0.postOnly = false },
        { $0.displayLots = 0 },
        { $0.selfTradePrevention = .none },
        {
          $0.timeInForce = .goodTillCancel
          $0.expiry = .zero
        },
        {
          if $0.stopPriceTicks != 0 { $0.type = $0.type == .stop ? .market : .limit }
          $0.stopPriceTicks = 0
        },
        {
          if $0.type == .market || $0.type == .stop { $0.priceTicks = 1000 }
          $0.type = .limit
          $0.stopPriceTicks = 0
        },
        { $0.quantityLots = max(1, $0.displayLots) },
        { $0.account = AccountID(1) },
      ]
      return changes.map { change in
        var simpler = order
        change(&simpler)
        return .order(simpler)
      }
    case .amend(let amend):
      let changes: [(inout Amend) -> Void] = [
        { $0.priceTicks = nil }, { $0.quantityLots = nil }, { $0.forfeitsPriority = false },
        { $0.quantityMeaning = .total },
      ]
      return changes.map { change in
        var simpler = amend
        change(&simpler)
        return .amend(simpler)
      }
    case .cancelAll(let all): return [.cancelAll(CancelAll(account: all.account))]
    case .instrument, .cancel: return []
    }
  }
}
