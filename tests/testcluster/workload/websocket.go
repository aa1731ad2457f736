package main

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net/http"
	"strings"
)

// As much of RFC 6455 as an echo needs: unfragmented messages, ping, close.
const (
	guid       = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
	opText     = 1
	opBinary   = 2
	opClose    = 8
	opPing     = 9
	opPong     = 10
	maxMessage = 1 << 20
)

func webSocket(w http.ResponseWriter, r *http.Request) {
	key := r.Header.Get("Sec-WebSocket-Key")
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") || key == "" {
		http.Error(w, "not a WebSocket handshake", http.StatusUpgradeRequired)
		return
	}
	connection, buffer, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer connection.Close()
	digest := sha1.Sum([]byte(key + guid))
	_, _ = buffer.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n" +
		"Connection: Upgrade\r\nSec-WebSocket-Accept: " +
		base64.StdEncoding.EncodeToString(digest[:]) + "\r\n\r\n")
	if writeFrame(buffer.Writer, opText, []byte(whoAmI(r).Hostname)) != nil {
		return
	}
	for {
		op, message, err := readFrame(buffer.Reader)
		if err != nil {
			return
		}
		switch op {
		case opText, opBinary:
			err = writeFrame(buffer.Writer, op, message)
		case opPing:
			err = writeFrame(buffer.Writer, opPong, message)
		case opClose:
			_ = writeFrame(buffer.Writer, opClose, message)
			return
		}
		if err != nil {
			return
		}
	}
}

func readFrame(r *bufio.Reader) (op byte, message []byte, err error) {
	var head [2]byte
	if _, err = io.ReadFull(r, head[:]); err != nil {
		return
	}
	size := uint64(head[1] & 0x7f)
	switch size {
	case 126:
		var wide [2]byte
		_, err = io.ReadFull(r, wide[:])
		size = uint64(binary.BigEndian.Uint16(wide[:]))
	case 127:
		var wide [8]byte
		_, err = io.ReadFull(r, wide[:])
		size = binary.BigEndian.Uint64(wide[:])
	}
	if err != nil {
		return
	}
	if size > maxMessage {
		return 0, nil, io.ErrShortBuffer
	}
	var mask [4]byte // a client's frames are always masked
	if _, err = io.ReadFull(r, mask[:]); err != nil {
		return
	}
	message = make([]byte, size)
	if _, err = io.ReadFull(r, message); err != nil {
		return
	}
	for i := range message {
		message[i] ^= mask[i%4]
	}
	return head[0] & 0x0f, message, nil
}

func writeFrame(w *bufio.Writer, op byte, message []byte) error {
	head := []byte{0x80 | op}
	switch size := len(message); {
	case size < 126:
		head = append(head, byte(size))
	case size < 1<<16:
		head = binary.BigEndian.AppendUint16(append(head, 126), uint16(size))
	default:
		head = binary.BigEndian.AppendUint64(append(head, 127), uint64(size))
	}
	_, _ = w.Write(head)
	_, _ = w.Write(message)
	return w.Flush()
}
