import EventLog
import Membership
import Primitives
import Replica

/// What a world knows of views: more than any node does.
struct WorldViews {
  /// Every origin that was ever admitted, as the newest view says that any node has entered.
  private(set) var register: Register
  private(set) var newest: ViewValue
  /// The machine that each origin is, by place.
  private(set) var machines: [Int]
  /// By place, as the first entry's chain begins.
  private(set) var chainStarts: [Hash256]
  /// Values by number, as the first node that entered the view had it.
  private(set) var values: [UInt64: ViewValue]
  private let cluster: Hash256
  private let keys: [PublicKey]
  private let sha = SHA256()

  init(genesis: Genesis, keys: [PublicKey]) {
    cluster = genesis.clusterID
    self.keys = keys
    newest = ViewValue(genesis: genesis)
    register = newest.register
    machines = []
    chainStarts = []
    values = [0: newest]
    grow()
  }

  /// A node has entered a view.
  /// - Returns: the value that another node had under that number, if it is another one.
  mutating func entered(_ value: ViewValue) -> ViewValue? {
    if let known = values[value.number] { return known == value ? nil : known }
    values[value.number] = value
    if value.number > newest.number {
      newest = value
      register = value.register
      grow()
    }
    return nil
  }

  private mutating func grow() {
    for place in machines.count..<register.count {
      let key = register.origins[place].publicKey
      guard let machine = keys.firstIndex(of: key) else { preconditionFailure("an origin of nobody") }
      machines.append(machine)
      chainStarts.append(HashChain.start(cluster: cluster, origin: register.origins[place].origin, sha))
    }
  }

  /// Whether an entry counts for nothing: its origin was sealed before it.
  func isVoid(_ dot: Dot) -> Bool { newest.cut(of: dot.origin).map { dot.sequence > $0 } ?? false }
}

extension Simulation {
  /// The machine that writes as an origin; nil for one that no node has entered a view with yet.
  package func machine(of origin: OriginIndex) -> Int? {
    origin.int < views.machines.count ? views.machines[origin.int] : nil
  }

  /// Whether a node may lose what it has on disk now: a majority of every view that may still decide something keeps
  /// all that it has said it holds. Beyond that nothing is promised.
  func mayLoseDisk(_ victim: Int) -> Bool {
    var numbers = [views.newest.number]
    for node in nodes {
      // Who is in the next view is not known yet, and may not be able to spare anybody.
      if node.disk.hasPromised(in: node.viewNumber) || node.process?.replica.isWedged == true { return false }
      numbers.append(node.viewNumber)
    }
    return numbers.allSatisfy { number in
      guard let value = views.values[number] else { return false }
      let whole = value.members.count { member in
        let node = nodes[views.machines[member.origin.int]]
        return node.index != victim && node.token == member.token && node.weakToken != member.token
      }
      return whole >= value.view.majority
    }
  }

  /// After each sync of a node: which view is it in?
  func noteView(_ node: SimulatedNode) {
    guard let value = node.disk.takeNewView(), value.number != node.viewNumber else { return }
    node.viewNumber = value.number
    viewsEntered += 1
    if let other = views.entered(value) {
      fail(
        "views", "\(node.name) has entered view \(value.number) as \(value), another node as \(other)", node: node.index
      )
    }
  }
}
