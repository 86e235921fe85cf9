/// Keeps effects until the commit that they wait for is durable.
///
/// Whoever carries out a replica's effects asks `admit` for each, in order, and carries out at once what it lets pass.
/// When a commit is durable, what `open` returns comes next, before the replica is told with `Input.committed`. An
/// effect that waits for nothing overtakes those that wait.
public struct CommitGate: Sendable {
  /// The newest commit that is durable.
  public private(set) var committed: CommitNumber = 0
  /// In the order in which they came.
  private var waiting: [Effect] = []

  public init() {}

  /// Effects that wait.
  public var count: Int { waiting.count }

  /// Whether an effect may be carried out now.
  /// - Returns: false if it is kept until its commit is durable.
  public mutating func admit(_ effect: Effect) -> Bool {
    guard mustWait(effect) else { return true }
    waiting.append(effect)
    return false
  }

  /// Takes note that a commit, and with it every one before it, is durable.
  /// - Precondition: later than `committed`.
  /// - Returns: what waited for it, in the order in which it came; to be carried out now.
  public mutating func open(through commit: CommitNumber) -> [Effect] {
    precondition(commit > committed, "commits become durable in order, each once")
    committed = commit
    var ready: [Effect] = []
    swap(&ready, &waiting)
    // Nearly always nothing waits for a later one.
    guard ready.contains(where: mustWait) else { return ready }
    waiting = ready.filter(mustWait)
    ready.removeAll(where: mustWait)
    return ready
  }

  /// Drops everything that waits: its commit failed, and will never be durable.
  public mutating func dropAll() { waiting.removeAll() }

  private func mustWait(_ effect: Effect) -> Bool {
    guard let commit = effect.waitsFor else { return false }
    return commit > committed
  }
}

extension Effect {
  /// The commit that must be durable before this may be carried out; nil if it waits for none.
  public var waitsFor: CommitNumber? {
    switch self {
    case .send(_, _, let commit), .accepted(_, _, _, _, let commit), .report(_, _, let commit): commit
    case .append, .void, .persist, .keepCheckpoints, .commit, .serve, .keepSnapshot, .servePiece, .install, .dial,
      .disconnect, .refused, .notice, .readLog, .mendLog, .dropSnapshots, .halt, .left:
      nil
    }
  }
}
