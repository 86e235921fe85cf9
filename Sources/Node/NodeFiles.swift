import EventLog
import Foundation
import Membership
import Primitives

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

/// The member list of view 0 as a file: `{"members":[{"name":"n1","public_key":"…64 digits…"}]}`.
public enum GenesisFile {
  private struct File: Codable {
    struct Member: Codable {
      var name: String
      var publicKey: String
      enum CodingKeys: String, CodingKey {
        case name
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
      throw StartError("the member list \(path) is not of the form {\"members\":[{\"name\":…,\"public_key\":…}]}")
    }
    var members: [Genesis.Member] = []
    for member in file.members {
      guard let key = PublicKey(hex: member.publicKey) else {
        throw StartError("the member list \(path): public_key of '\(member.name)' must be 64 hexadecimal digits")
      }
      members.append(Genesis.Member(publicKey: key, name: member.name))
    }
    do throws(GenesisError) {
      return try Genesis(members: members)
    } catch {
      throw StartError("\(path): \(error)")
    }
  }

  public static func write(_ genesis: Genesis, to path: String) throws(StartError) {
    let file = File(members: genesis.members.map { .init(name: $0.name, publicKey: $0.publicKey.description) })
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    do {
      try encoder.encode(file).write(to: URL(fileURLWithPath: path), options: .atomic)
    } catch {
      throw StartError("the member list \(path) cannot be written: \(error.localizedDescription)")
    }
  }
}
