import EventLog
import Primitives

/// Rumours that are still to be passed on, each a bounded number of times.
///
/// Those told least often go first, so that news is not held up by what most have heard.
///
/// Source: Das, Gupta, Motivala, "SWIM", 2002, section 4.1.
struct RumourQueue: Sendable {
  private struct Rumour: Sendable {
    var update: DetectorUpdate
    var told: Int
  }

  /// In order of arrival.
  private var rumours: [Rumour] = []

  var isEmpty: Bool { rumours.isEmpty }
  var count: Int { rumours.count }

  func contains(_ update: DetectorUpdate) -> Bool { rumours.contains { $0.update == update } }

  /// Takes a rumour that is new here; what it makes obsolete is dropped.
  mutating func add(_ update: DetectorUpdate) {
    rumours.removeAll { update.replaces($0.update) }
    if rumours.count >= DetectorLimits.rumoursMax {
      var worst = 0
      for index in rumours.indices where rumours[index].told > rumours[worst].told { worst = index }
      rumours.remove(at: worst)
    }
    rumours.append(Rumour(update: update, told: 0))
  }

  mutating func removeAll(where isObsolete: (DetectorUpdate) -> Bool) { rumours.removeAll { isObsolete($0.update) } }

  /// What the next message carries.
  /// - Parameters:
  ///   - count: at most so many.
  ///   - transmissions: a rumour told this often is forgotten.
  mutating func take(_ count: Int, transmissions: Int) -> [DetectorUpdate] {
    guard !rumours.isEmpty, count > 0 else { return [] }
    let order = rumours.indices.sorted { (rumours[$0].told, $0) < (rumours[$1].told, $1) }.prefix(count)
    let updates = order.map { rumours[$0].update }
    for index in order { rumours[index].told += 1 }
    rumours.removeAll { $0.told >= transmissions }
    return updates
  }
}

extension DetectorUpdate {
  /// Whether nobody needs to hear `other` after this.
  func replaces(_ other: DetectorUpdate) -> Bool {
    guard subject == other.subject else { return false }
    switch (self, other) {
    case (.refute(_, let new), .refute(_, let old)): return new >= old
    case (.refute(_, let new), .suspect(_, let old, _)): return new > old
    case (.suspect(_, let new, let accuser), .suspect(_, let old, let other)):
      return new > old || new == old && accuser == other
    case (.suspect(_, let new, _), .refute(_, let old)): return new > old
    }
  }
}
