package main

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
)

// trustingPool is an http.RoundTripper over kept connections that believes in the router's framing.
type trustingPool struct {
	router string
	mutex  sync.Mutex
	idle   []*kept
}

// kept is a connection to the router, with what was read from it and not asked for yet.
type kept struct {
	net.Conn
	reader *bufio.Reader
}

// Read is for what follows a 101: bytes that came with it are first.
func (k *kept) Read(buffer []byte) (int, error) { return k.reader.Read(buffer) }

func (p *trustingPool) RoundTrip(request *http.Request) (*http.Response, error) {
	for {
		connection, again := p.take()
		if !again {
			fresh, err := net.Dial("tcp", p.router)
			if err != nil {
				return nil, err
			}
			connection = &kept{Conn: fresh, reader: bufio.NewReader(fresh)}
		}
		response, err := p.exchange(connection, request)
		if err == nil {
			return response, nil
		}
		connection.Close()
		// The router closes connections that were idle: the next one, unless a body is gone.
		replayable := request.Body == nil || request.Body == http.NoBody
		if !again || !replayable || !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, err
		}
	}
}

func (p *trustingPool) exchange(connection *kept, request *http.Request) (*http.Response, error) {
	if err := request.Write(connection); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	for {
		response, err := http.ReadResponse(connection.reader, request)
		if err != nil {
			return nil, err
		}
		switch {
		case response.StatusCode == http.StatusSwitchingProtocols:
			response.Body = connection
			return response, nil
		case response.StatusCode >= 200:
			response.Body = &body{response.Body, p, connection, response.Close}
			return response, nil
		}
	}
}

func (p *trustingPool) take() (*kept, bool) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	last := len(p.idle) - 1
	if last < 0 {
		return nil, false
	}
	connection := p.idle[last]
	p.idle = p.idle[:last]
	return connection, true
}

func (p *trustingPool) give(connection *kept) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.idle = append(p.idle, connection)
}

// body gives its connection back as soon as it was read to its end, before the client has all of it.
type body struct {
	io.ReadCloser
	pool       *trustingPool
	connection *kept
	last       bool
}

func (b *body) Read(buffer []byte) (int, error) {
	count, err := b.ReadCloser.Read(buffer)
	if err == io.EOF && !b.last && b.connection != nil {
		b.pool.give(b.connection)
		b.connection = nil
	}
	return count, err
}

func (b *body) Close() error {
	if b.connection != nil {
		b.connection.Close()
	}
	b.connection = nil
	return nil
}
