/// One of those that are compared: a running node, or the directory of one.
public protocol Witness: Sendable {
  /// As people know it.
  var label: String { get }
  /// Its bytes are not what a node keeps in memory: hashes that are stored beside them prove nothing.
  var isStored: Bool { get }
  /// - Throws: what kept it from answering; a refusal with a reason is `Answer.unavailable`.
  func ask(_ question: Question) async throws -> Answer
}

/// Counts what a search asks.
public struct SearchCost: Hashable, Sendable {
  /// Questions that were put, to either side.
  public var exchanges = 0
  /// Of questions and answers, without frames.
  public var bytes = 0
  public init() {}
}

/// Why a search could not go on.
public struct SearchError: Error, Sendable, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}
