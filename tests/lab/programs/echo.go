// A server that sends back what one client sent until its FIN, and that client: `echo server ADDRESS`, `echo client ADDRESS`.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
)

func main() {
	var err error
	if os.Args[1] == "server" {
		err = serve(os.Args[2])
	} else {
		err = ask(os.Args[2])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(address string) error {
	listener, err := net.Listen("tcp4", address)
	if err != nil {
		return err
	}
	connection, err := listener.Accept()
	if err != nil {
		return err
	}
	defer connection.Close()
	text, err := io.ReadAll(connection)
	if err != nil {
		return err
	}
	_, err = connection.Write(text)
	return err
}

func ask(address string) error {
	connection, err := net.Dial("tcp4", address)
	if err != nil {
		return err
	}
	defer connection.Close()
	for _, text := range []string{"c", "c", "string"} {
		if _, err = connection.Write([]byte(text)); err != nil {
			return err
		}
	}
	if err = connection.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	text, err := io.ReadAll(connection)
	fmt.Println(string(text))
	return err
}
