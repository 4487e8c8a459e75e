// Package wasm assembles WebAssembly modules for tests.
package wasm

import (
	"encoding/binary"
	"slices"
)

// TrapHeaders is the number of request headers, Envoy's own included, at which TrappingModule traps.
const TrapHeaders = 40

// TrappingModule returns a module that lets requests pass until one has TrapHeaders headers. Then it executes `unreachable`, as a
// module that panics does.
func TrappingModule() []byte {
	section := func(id byte, content ...byte) []byte {
		return append(binary.AppendUvarint([]byte{id}, uint64(len(content))), content...)
	}
	export := func(name string, kind, index byte) []byte {
		return append(append([]byte{byte(len(name))}, name...), kind, index)
	}
	const (
		i32, function, memory = 0x7f, 0, 2
		localGet, i32Const    = 0x20, 0x41
		ifThen, noResult, end = 0x04, 0x40, 0x0b
		greater, unreachable  = 0x4b, 0x00
	)
	return slices.Concat(
		[]byte("\x00asm\x01\x00\x00\x00"),
		section(1, 4, // the types of the four functions
			0x60, 0, 0,
			0x60, 1, i32, 1, i32,
			0x60, 2, i32, i32, 0,
			0x60, 3, i32, i32, i32, 1, i32),
		section(3, 4, 0, 1, 2, 3),
		section(5, 1, 0, 1), // one memory of one page
		section(7, slices.Concat([]byte{5},
			export("memory", memory, 0),
			export("proxy_abi_version_0_2_1", function, 0),
			export("proxy_on_memory_allocate", function, 1),
			export("proxy_on_context_create", function, 2),
			export("proxy_on_request_headers", function, 3))...),
		section(10, 4,
			2, 0, end,
			4, 0, i32Const, 0, end,
			2, 0, end,
			// if the second parameter, the number of headers, is greater; 0 means: continue
			13, 0, localGet, 1, i32Const, TrapHeaders-1, greater, ifThen, noResult, unreachable, end, i32Const, 0, end),
	)
}
