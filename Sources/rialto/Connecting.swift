import ArgumentParser
import Client
import OrderBook
import Primitives
import Wire

/// `host:port`, or several with commas between them.
struct AddressList: ExpressibleByArgument {
  let addresses: [Address]

  init?(argument: String) {
    var addresses: [Address] = []
    for part in argument.split(separator: ",", omittingEmptySubsequences: false) {
      guard let address = Address(String(part)), address.port > 0 else { return nil }
      addresses.append(address)
    }
    self.addresses = addresses
  }
}

/// Which nodes a command talks to, and in whose name.
struct NodeOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Address of a node; several with commas between them.", valueName: "host:port"))
  var to: AddressList

  @Option(help: "Account in whose name orders are placed and asked for.")
  var account: UInt64 = 1

  /// Connects to the first node that answers.
  func connectToAny() async throws -> RialtoClient {
    var last: (any Error)?
    for address in to.addresses {
      do {
        return try await connect(to: address)
      } catch {
        last = error
      }
    }
    throw last ?? CommandError("no address was given", advice: "name a node with --to host:port")
  }

  func connect(to address: Address) async throws(ClientError) -> RialtoClient {
    try await Connecting.connect(to: address, account: AccountID(account))
  }
}

/// Connections as all commands make them.
enum Connecting {
  static func connect(to address: Address, account: AccountID) async throws(ClientError) -> RialtoClient {
    try await RialtoClient.connect(to: address, account: account, name: "rialto")
  }

  /// Whether a flow has not too many accounts: each needs a connection to each node.
  static func checked(_ accounts: [AccountID]) throws -> [AccountID] {
    guard accounts.count <= FlowDriver.accountsMax else {
      throw CommandError(
        "the flow has \(accounts.count.grouped) accounts, and \(FlowDriver.accountsMax) may be sent at once",
        advice: "split the file by account, or try it with `rialto replay`")
    }
    return accounts
  }

  /// Connects to all nodes at once; fails if one cannot be reached.
  /// - Returns: the clients, in the order of the addresses.
  static func connect(toAll addresses: [Address], account: AccountID) async throws -> [RialtoClient] {
    try await withThrowingTaskGroup(of: (Int, RialtoClient).self) { group in
      for (place, address) in addresses.enumerated() {
        group.addTask { (place, try await connect(to: address, account: account)) }
      }
      var clients = [RialtoClient?](repeating: nil, count: addresses.count)
      for try await (place, client) in group { clients[place] = client }
      return clients.compactMap { $0 }
    }
  }
}

/// Reads `symbol`, which people may write in lower case.
func parseSymbol(_ text: String) throws -> Symbol {
  guard let symbol = Symbol(text.uppercased()) else {
    throw CommandError(
      "'\(text)' is not a symbol",
      advice: "a symbol has 1 to \(Limits.symbolBytesMax) of the characters A-Z 0-9 - . _ /")
  }
  return symbol
}

/// What a cluster trades.
enum Instruments {
  /// `BTC-USD` to the cent and the satoshi.
  static let defaultSymbol = "BTC-USD"
  private static let agreementSecondsMax = 10
  private static let pollMilliseconds = 20

  /// The instrument called `symbol`, or, without one, the only one there is.
  static func find(_ symbol: String?, at client: RialtoClient) async throws -> InstrumentRecord {
    let records = try await client.instruments()
    let symbols = records.map(\.instrument.symbol.description).joined(separator: ", ")
    let known = records.isEmpty ? "none is defined" : "known: \(symbols)"
    guard let symbol else {
      if records.count == 1 { return records[0] }
      throw CommandError(
        records.isEmpty ? "no instrument is defined yet" : "there are several instruments; name one",
        advice: records.isEmpty ? "define one: rialto instrument define BTC-USD --to host:port" : known)
    }
    let wanted = try parseSymbol(symbol)
    guard let record = records.first(where: { $0.instrument.symbol == wanted }) else {
      throw CommandError("there is no instrument \(wanted)", advice: known)
    }
    return record
  }

  /// The instrument, which is defined through the first node if no node knows it; all nodes know it, by one dot, when
  /// this returns.
  static func findOrDefine(
    _ instrument: Instrument, at clients: [RialtoClient]
  ) async throws -> InstrumentRecord {
    guard let first = clients.first else { throw CommandError("there is no node to ask") }
    var records = try await listings(of: instrument.symbol, at: clients)
    if records.allSatisfy({ $0 == nil }) {
      let outcomes = try await first.submit([.instrument(instrument)])
      if case .refused(let refusal)? = outcomes.first {
        throw CommandError("\(first.welcome.nodeName) does not define \(instrument.symbol): \(refusal)")
      }
    }
    let deadline = ContinuousClock.now + .seconds(agreementSecondsMax)
    while true {
      // Two clients may define one symbol at once; the first in key order stays, so wait until all name the same.
      if let record = records[0], records.allSatisfy({ $0 == record }) { return record }
      guard ContinuousClock.now < deadline else {
        throw CommandError(
          "the nodes do not agree on \(instrument.symbol) after \(agreementSecondsMax) s",
          advice: "see whether they are connected to each other: rialto status --cluster")
      }
      try await Task.sleep(for: .milliseconds(pollMilliseconds))
      records = try await listings(of: instrument.symbol, at: clients)
    }
  }

  private static func listings(of symbol: Symbol, at clients: [RialtoClient]) async throws -> [InstrumentRecord?] {
    var found: [InstrumentRecord?] = []
    for client in clients {
      found.append(try await client.instruments().first { $0.instrument.symbol == symbol })
    }
    return found
  }

  /// What is defined where nothing is: a tick of 0.01 and a lot of 0.00000001.
  static func standard(_ symbol: Symbol) throws -> Instrument {
    guard let tick = Increment(mantissa: 1, scale: 2), let lot = Increment(mantissa: 1, scale: 8) else {
      throw CommandError("the standard tick and lot are not valid")
    }
    return Instrument(symbol: symbol, tick: tick, lot: lot)
  }
}
