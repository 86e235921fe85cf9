import EventLog
import Foundation
import Membership
import Primitives
import Storage

/// Why a node cannot start; the text says what to do.
public struct StartError: Error, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}

/// A node's secret key: a file of 64 hexadecimal digits that only its owner may read.
public enum KeyFile {
  /// Reads the key at `path`; makes one there if there is no file.
  public static func loadOrCreate(_ path: String) throws(StartError) -> Ed25519 {
    if FileManager.default.fileExists(atPath: path) { return try load(path) }
    var generator = SystemRandomNumberGenerator()
    let seed = (0..<Ed25519.seedByteCount).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    let directory = (path as NSString).deletingLastPathComponent
    if !directory.isEmpty {
      try? FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    }
    let attributes: [FileAttributeKey: Any] = [.posixPermissions: 0o600]
    guard
      FileManager.default.createFile(atPath: path, contents: Data((seed.hex + "\n").utf8), attributes: attributes),
      let key = Ed25519(seed: seed)
    else { throw StartError("the key file \(path) cannot be written; choose another place with --key") }
    return key
  }

  public static func load(_ path: String) throws(StartError) -> Ed25519 {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw StartError("the key file \(path) cannot be read")
    }
    let text = String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    guard let seed = [UInt8](hex: text), let key = Ed25519(seed: seed) else {
      throw StartError(
        "the key file \(path) is damaged: it must hold 64 hexadecimal digits. Restore it from a backup; a new key "
          + "makes another node")
    }
    return key
  }
}

/// The token of a store that is not there yet: a file of 16 hexadecimal digits, which the member list names. It is used
/// once. A store that was lost is made anew with another token, and its node is not the same member any more.
public enum TokenFile {
  public static let name = "token"

  private static func path(_ directory: String) -> String { directory + "/" + name }

  /// Reads the token that the next store in a directory will have; draws one if there is none.
  /// - Throws: if there is a store already.
  public static func loadOrCreate(_ directory: String) throws(StartError) -> StoreToken {
    guard !FileManager.default.fileExists(atPath: directory + "/" + Store.fileName) else {
      throw StartError(
        "\(directory) has a store already: the member list must have been written before its first start")
    }
    if let token = try load(directory) { return token }
    var generator = SystemRandomNumberGenerator()
    let token = StoreToken(UInt64.random(in: 1 ... .max, using: &generator))
    try? FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    let attributes: [FileAttributeKey: Any] = [.posixPermissions: 0o600]
    let text = Data((token.digits + "\n").utf8)
    guard FileManager.default.createFile(atPath: path(directory), contents: text, attributes: attributes) else {
      throw StartError("\(path(directory)) cannot be written; choose another directory")
    }
    return token
  }

  static func load(_ directory: String) throws(StartError) -> StoreToken? {
    guard let data = FileManager.default.contents(atPath: path(directory)) else { return nil }
    let text = String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    guard let token = StoreToken(digits: text) else {
      throw StartError(
        "\(path(directory)) is damaged: it must hold 16 hexadecimal digits. Remove it to join as a new member")
    }
    return token
  }

  static func remove(_ directory: String) { try? FileManager.default.removeItem(atPath: path(directory)) }
}

extension StoreToken {
  /// 16 hexadecimal digits.
  public var digits: String {
    let text = String(value, radix: 16)
    return String(repeating: "0", count: 16 - text.count) + text
  }

  /// - Returns: nil unless there are 16 hexadecimal digits, not all 0.
  public init?(digits: String) {
    guard digits.utf8.count == 16, let value = UInt64(digits, radix: 16), value != 0 else { return nil }
    self.init(value)
  }
}

/// The member list of view 0 as a file: `{"members":[{"name":"n1","public_key":"…64 digits…","token":"…16…"}]}`.
public enum GenesisFile {
  private struct File: Codable {
    struct Member: Codable {
      var name: String
      var publicKey: String
      var token: String
      enum CodingKeys: String, CodingKey {
        case name, token
        case publicKey = "public_key"
      }
    }
    var members: [Member]
  }

  public static func load(_ path: String) throws(StartError) -> Genesis {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw StartError("the member list \(path) cannot be read; give one with --genesis")
    }
    let file: File
    do {
      file = try JSONDecoder().decode(File.self, from: data)
    } catch {
      throw StartError(
        "the member list \(path) is not of the form "
          + "{\"members\":[{\"name\":…,\"public_key\":…,\"token\":…}]}; write one with `rialto genesis`")
    }
    var members: [Genesis.Member] = []
    for member in file.members {
      guard let key = PublicKey(hex: member.publicKey) else {
        throw StartError("the member list \(path): public_key of '\(member.name)' must be 64 hexadecimal digits")
      }
      guard let token = StoreToken(digits: member.token) else {
        throw StartError("the member list \(path): token of '\(member.name)' must be 16 hexadecimal digits")
      }
      members.append(Genesis.Member(publicKey: key, name: member.name, token: token))
    }
    do throws(GenesisError) {
      return try Genesis(members: members)
    } catch {
      throw StartError("\(path): \(error)")
    }
  }

  public static func write(_ genesis: Genesis, to path: String) throws(StartError) {
    let file = File(
      members: genesis.members.map {
        .init(name: $0.name, publicKey: $0.publicKey.description, token: $0.token.digits)
      })
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    do {
      try encoder.encode(file).write(to: URL(fileURLWithPath: path), options: .atomic)
    } catch {
      throw StartError("the member list \(path) cannot be written: \(error.localizedDescription)")
    }
  }
}
