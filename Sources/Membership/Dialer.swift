import EventLog
import Primitives

/// Decides whom to dial and when: exponential backoff with jitter, one attempt at a time for an address.
public struct Dialer: Sendable {
  public static let backoffMicrosecondsMin: UInt64 = 50_000
  public static let backoffMicrosecondsMax: UInt64 = 2_000_000
  /// An attempt that neither connects nor fails is given up after this.
  public static let attemptMicrosecondsMax: UInt64 = 3_000_000
  /// The member with the larger index leaves the other this long to dial first, so that two seldom dial each other.
  public static let courtesyMicroseconds: UInt64 = 150_000

  private struct Target: Sendable {
    var address: String
    var failures = 0
    var notBeforeMicroseconds: UInt64
    var isDialing = false
  }

  /// In order of first mention; at most `Limits.peerAddressesMax`.
  private var targets: [Target] = []

  public init() {}

  /// Adds an address or, if known, leaves it.
  public mutating func add(_ address: String, notBeforeMicroseconds: UInt64) {
    guard !address.isEmpty, !targets.contains(where: { $0.address == address }),
      targets.count < Limits.peerAddressesMax
    else { return }
    targets.append(Target(address: address, notBeforeMicroseconds: notBeforeMicroseconds))
  }

  public mutating func remove(_ address: String) { targets.removeAll { $0.address == address } }

  /// The addresses to dial now.
  /// - Parameter isWanted: false for an address that is connected already.
  public mutating func due(nowMicroseconds now: UInt64, isWanted: (String) -> Bool) -> [String] {
    var addresses: [String] = []
    for index in targets.indices where targets[index].notBeforeMicroseconds <= now {
      guard isWanted(targets[index].address) else {
        targets[index].isDialing = false
        targets[index].failures = 0
        continue
      }
      targets[index].isDialing = true
      targets[index].notBeforeMicroseconds = now + Self.attemptMicrosecondsMax
      addresses.append(targets[index].address)
    }
    return addresses
  }

  /// The attempt failed, or the link it made is gone: wait `min · 2^failures` ± 50 %.
  public mutating func failed(_ address: String, nowMicroseconds now: UInt64, _ generator: inout SeededGenerator) {
    guard let index = targets.firstIndex(where: { $0.address == address }) else { return }
    let exponent = min(targets[index].failures, 10)
    let backoff = min(Self.backoffMicrosecondsMin << UInt64(exponent), Self.backoffMicrosecondsMax)
    targets[index].failures += 1
    targets[index].isDialing = false
    targets[index].notBeforeMicroseconds = now + backoff / 2 + generator.below(backoff)
  }

  /// The attempt became a link.
  public mutating func succeeded(_ address: String, nowMicroseconds now: UInt64) {
    guard let index = targets.firstIndex(where: { $0.address == address }) else { return }
    targets[index].failures = 0
    targets[index].isDialing = false
    targets[index].notBeforeMicroseconds = now
  }
}
