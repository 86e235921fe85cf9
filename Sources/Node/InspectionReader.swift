import Diagnostics
import EventLog
import Forensics
import Membership
import NIOCore
import NIOPosix
import Primitives
import Storage

/// Reads this node's file beside the node: a long answer keeps no order waiting.
///
/// Has a connection of its own, which sees what was committed last, and one thread.
final class InspectionReader: @unchecked Sendable {
  /// Questions that may wait.
  static let queueMax = 64

  private let directory: String
  private let cluster: Hash256
  private let pool = NIOThreadPool(numberOfThreads: 1)
  // On that thread only.
  private var store: Store?
  /// On the event loop only.
  private(set) var waiting = 0

  init(directory: String, cluster: Hash256) {
    self.directory = directory
    self.cluster = cluster
    pool.start()
  }

  /// - Parameter then: called on the loop.
  func answer(
    _ question: Question, through final: Stamp, register: Register, on loop: any EventLoop,
    _ then: @escaping @Sendable (Result<Answer?, any Error>) -> Void
  ) {
    waiting += 1
    let result = pool.runIfActive(eventLoop: loop) { [self] in
      let store = try store ?? Store.openReadOnly(directory: directory)
      self.store = store
      return try StoreInspector(store, register: register, cluster: cluster).answer(question, through: final)
    }
    result.whenComplete { [self] result in
      waiting -= 1
      then(result)
    }
  }

  /// Ends after what is under way.
  func close() {
    pool.submit { [self] _ in
      store?.close()
      store = nil
    }
    pool.shutdownGracefully { _ in }
  }
}
