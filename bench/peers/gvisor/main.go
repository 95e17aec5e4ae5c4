// gVisor's netstack as a peer: `gvisor DEVICE ADDRESS all|none|packet`. It serves discard, chargen and echo over a TUN device, or over an
// AF_PACKET socket on an Ethernet interface ('packet', with netstack's own fdbased link).
//
// 'none' uses netstack's own fdbased link. That link leaves segmentation to the host only on AF_PACKET sockets, so 'all' brings a link
// for TUN devices with a virtio-net header: super-segments and checksums are left to the device both ways. Buffers may grow to 4 MiB,
// congestion control is cubic, SACK and receive-buffer tuning are on. Built against Debian's golang-gvisor-gvisor-dev.
package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/bufferv2"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

const (
	portBase    = 7000
	mtu         = 1500
	nic         = 1
	bufferBytes = 4 << 20
	// Bytes of struct virtio_net_hdr on the device.
	vnetHeader = 10
	packetRoom = vnetHeader + 65535
)

func check(err error, what string) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "gvisor: %s: %v\n", what, err)
		os.Exit(1)
	}
}

func checkTCPIP(err tcpip.Error, what string) {
	if err != nil {
		check(fmt.Errorf("%s", err), what)
	}
}

// openTUN attaches to the device.
func openTUN(name string, offloads bool) int {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR, 0)
	check(err, "/dev/net/tun")
	var request [40]byte
	copy(request[:15], name)
	flags := uint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if offloads {
		flags |= unix.IFF_VNET_HDR
	}
	binary.LittleEndian.PutUint16(request[16:], flags)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TUNSETIFF, uintptr(unsafe.Pointer(&request)))
	if errno != 0 {
		check(errno, "TUNSETIFF")
	}
	const checksumAndTSO = 0x01 | 0x02 | 0x04
	if offloads {
		check(unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, checksumAndTSO), "TUNSETOFFLOAD")
		return fd
	}
	check(unix.SetNonblock(fd, true), "O_NONBLOCK")
	return fd
}

// openPacket makes netstack's own link of an AF_PACKET socket on the interface.
func openPacket(name string) stack.LinkEndpoint {
	device, err := net.InterfaceByName(name)
	check(err, name)
	const all = unix.ETH_P_ALL>>8 | unix.ETH_P_ALL<<8&0xff00
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK, all)
	check(err, "AF_PACKET")
	check(unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: device.Index}), "bind")
	for _, option := range []int{unix.SO_RCVBUFFORCE, unix.SO_SNDBUFFORCE} {
		check(unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, 8<<20), "buffers")
	}
	link, err := fdbased.New(&fdbased.Options{
		FDs:                []int{fd},
		MTU:                mtu,
		EthernetHeader:     true,
		Address:            tcpip.LinkAddress(device.HardwareAddr),
		PacketDispatchMode: fdbased.RecvMMsg,
	})
	check(err, "fdbased")
	return link
}

// tunLink is a link over a TUN device whose packets have a virtio-net header.
type tunLink struct {
	fd         int
	dispatcher stack.NetworkDispatcher
}

func (l *tunLink) MTU() uint32                             { return mtu }
func (l *tunLink) MaxHeaderLength() uint16                 { return 0 }
func (l *tunLink) LinkAddress() tcpip.LinkAddress          { return "" }
func (l *tunLink) IsAttached() bool                        { return l.dispatcher != nil }
func (l *tunLink) Wait()                                   {}
func (l *tunLink) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareNone }
func (l *tunLink) AddHeader(stack.PacketBufferPtr)         {}
func (l *tunLink) GSOMaxSize() uint32                      { return 65535 }
func (l *tunLink) SupportedGSO() stack.SupportedGSO        { return stack.HostGSOSupported }

// Capabilities leaves received checksums to the device. Sent ones too, by GSO options; packets without those are complete.
func (l *tunLink) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityRXChecksumOffload
}

func (l *tunLink) Attach(dispatcher stack.NetworkDispatcher) {
	l.dispatcher = dispatcher
	if dispatcher != nil {
		go l.receive()
	}
}

// receive hands each packet over in a buffer of its own, which the stack keeps without copying.
func (l *tunLink) receive() {
	room := bufferv2.NewViewSize(packetRoom)
	for {
		n, err := unix.Read(l.fd, room.AsSlice())
		if err == unix.EINTR {
			continue
		}
		check(err, "read")
		if n <= vnetHeader {
			continue
		}
		var view *bufferv2.View
		if n > packetRoom/8 {
			view, room = room, bufferv2.NewViewSize(packetRoom)
			view.CapLength(n)
			view.TrimFront(vnetHeader)
		} else {
			// A small one is copied, so that it does not hold so much memory.
			view = bufferv2.NewViewWithData(room.AsSlice()[vnetHeader:n])
		}
		packet := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: bufferv2.MakeWithView(view)})
		l.dispatcher.DeliverNetworkPacket(header.IPv4ProtocolNumber, packet)
		packet.DecRef()
	}
}

func (l *tunLink) WritePackets(packets stack.PacketBufferList) (int, tcpip.Error) {
	written := 0
	for _, packet := range packets.AsSlice() {
		if err := l.write(packet); err != nil {
			return written, &tcpip.ErrNoBufferSpace{}
		}
		written++
	}
	return written, nil
}

func (l *tunLink) write(packet stack.PacketBufferPtr) error {
	var vnet [vnetHeader]byte
	options := packet.GSOOptions
	if options.Type != stack.GSONone {
		binary.LittleEndian.PutUint16(vnet[2:], uint16(packet.HeaderSize()))
		if options.NeedsCsum {
			vnet[0] = 1
			binary.LittleEndian.PutUint16(vnet[6:], options.L3HdrLen)
			binary.LittleEndian.PutUint16(vnet[8:], options.CsumOffset)
		}
		if packet.Data().Size() > int(options.MSS) {
			vnet[1] = 1
			binary.LittleEndian.PutUint16(vnet[4:], options.MSS)
		}
	}
	_, err := unix.Writev(l.fd, append([][]byte{vnet[:]}, packet.AsSlices()...))
	return err
}

// newStack makes a stack with windows as large as the kernel's.
func newStack(link stack.LinkEndpoint, address tcpip.Address) *stack.Stack {
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol},
	})
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: 4096, Default: 1 << 20, Max: bufferBytes}
	checkTCPIP(s.SetTransportProtocolOption(tcp.ProtocolNumber, &receive), "receive buffer")
	send := tcpip.TCPSendBufferSizeRangeOption{Min: 4096, Default: bufferBytes, Max: bufferBytes}
	checkTCPIP(s.SetTransportProtocolOption(tcp.ProtocolNumber, &send), "send buffer")
	sack := tcpip.TCPSACKEnabled(true)
	checkTCPIP(s.SetTransportProtocolOption(tcp.ProtocolNumber, &sack), "SACK")
	moderate := tcpip.TCPModerateReceiveBufferOption(true)
	checkTCPIP(s.SetTransportProtocolOption(tcp.ProtocolNumber, &moderate), "receive buffer tuning")
	cubic := tcpip.CongestionControlOption("cubic")
	checkTCPIP(s.SetTransportProtocolOption(tcp.ProtocolNumber, &cubic), "cubic")
	checkTCPIP(s.CreateNIC(nic, link), "NIC")
	own := tcpip.ProtocolAddress{
		Protocol:          ipv4.ProtocolNumber,
		AddressWithPrefix: tcpip.AddressWithPrefix{Address: address, PrefixLen: 24},
	}
	checkTCPIP(s.AddProtocolAddress(nic, own, stack.AddressProperties{}), "address")
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nic}})
	return s
}

func discard(c net.Conn) {
	io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, make([]byte, 256<<10))
}
func echo(c net.Conn) {
	io.CopyBuffer(struct{ io.Writer }{c}, struct{ io.Reader }{c}, make([]byte, 64<<10))
}
func generate(c net.Conn) {
	chunk := make([]byte, 64<<10)
	for {
		if _, err := c.Write(chunk); err != nil {
			return
		}
	}
}

func main() {
	if len(os.Args) != 4 {
		check(fmt.Errorf("usage: gvisor DEVICE ADDRESS all|none|packet"), "arguments")
	}
	var link stack.LinkEndpoint
	switch os.Args[3] {
	case "packet":
		link = openPacket(os.Args[1])
	case "all":
		link = &tunLink{fd: openTUN(os.Args[1], true)}
	default:
		var err error
		link, err = fdbased.New(&fdbased.Options{FDs: []int{openTUN(os.Args[1], false)}, MTU: mtu})
		check(err, "fdbased")
	}
	address := tcpip.Address(net.ParseIP(os.Args[2]).To4())
	s := newStack(link, address)
	for service, serve := range map[uint16]func(net.Conn){7: echo, 9: discard, 19: generate} {
		at := tcpip.FullAddress{NIC: nic, Addr: address, Port: portBase + service}
		listener, err := gonet.ListenTCP(s, at, ipv4.ProtocolNumber)
		check(err, "listen")
		go func(serve func(net.Conn)) {
			for {
				connection, err := listener.Accept()
				check(err, "accept")
				go func() {
					serve(connection)
					connection.Close()
				}()
			}
		}(serve)
	}
	fmt.Println("ready")
	select {}
}
