import Glibc
import Testing

@testable import rialto

@Suite("Files")
final class FilesTests {
  private let folder: String

  init() throws {
    var template = Array("/tmp/rialto files XXXXXX".utf8CString)
    folder = String(cString: try #require(mkdtemp(&template)))
  }

  deinit {
    for name in entries { unlink("\(folder)/\(name)") }
    rmdir(folder)
  }

  private var entries: [String] {
    guard let directory = opendir(folder) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  @Test func aFileAppearsWhenCommittedAndNotBefore() throws {
    let path = "\(folder)/out.csv"
    do {
      let file = try AtomicFile(path)
      try file.write(Array("half".utf8))
      #expect(!entries.contains("out.csv"))
    }
    #expect(entries.isEmpty)
    let file = try AtomicFile(path)
    try file.write(Array("whole".utf8))
    try file.commit()
    #expect(entries == ["out.csv"])
    #expect(try Files.read(path) == Array("whole".utf8))
  }

  @Test func anOldFileStaysUntilTheNewOneIsWhole() throws {
    let path = "\(folder)/out.csv"
    let first = try AtomicFile(path)
    try first.write(Array("old".utf8))
    try first.commit()
    chmod(path, 0o600)
    let link = "\(folder)/link.csv"
    #expect(symlink("out.csv", link) == 0)
    let second = try AtomicFile(link)
    try second.write(Array("new".utf8))
    #expect(try Files.read(path) == Array("old".utf8))
    try second.commit()
    #expect(try Files.read(path) == Array("new".utf8))
    #expect(entries == ["link.csv", "out.csv"])
    var status = stat()
    #expect(lstat(link, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK)
    #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
  }

  @Test func aDeviceIsWrittenAndNotReplaced() throws {
    let file = try AtomicFile("/dev/null")
    try file.write([1, 2, 3])
    try file.commit()
    var status = stat()
    #expect(stat("/dev/null", &status) == 0 && status.st_mode & S_IFMT == S_IFCHR)
  }

  @Test func failuresNameTheFile() {
    #expect {
      try AtomicFile("\(self.folder)/none/out.csv")
    } throws: { error in
      "\(error)".hasPrefix("cannot write \(self.folder)/none/out.csv: No such file or directory")
    }
    #expect {
      try Files.read("\(self.folder)/none.csv")
    } throws: { error in
      "\(error)".hasPrefix("cannot read \(self.folder)/none.csv: No such file or directory")
    }
    #expect(throws: CommandError.self) { try Files.read(self.folder) }
  }
}
