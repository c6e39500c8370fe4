package simulator

import (
	"fmt"
	"sort"
	"strings"
)

// A room is a conference. The events are those of recording conference: the
// first member makes it, holds the floor a tick later, and the last one's
// leaving ends it.
type room struct {
	name, profile, uuid string
	members             []*Channel
	next                int // member id
	floor               *Channel
}

const maintenance = "conference::maintenance"

var (
	fromConferenceNew   = source("mod_conference.c", "conference_new", "3848")
	fromConferenceEnd   = source("mod_conference.c", "conference_thread_run", "863")
	fromConferenceAdd   = source("conference_member.c", "conference_member_add", "962")
	fromConferenceDel   = source("conference_member.c", "conference_member_del", "1355")
	fromConferenceFloor = source("conference_member.c", "conference_member_set_floor_holder", "1158")
	fromConferenceKick  = source("conference_api.c", "conference_api_sub_kick", "902")
	fromConferenceMute  = source("conference_api.c", "conference_api_sub_mute", "433")
)

// tell sends a conference::maintenance event, about a member or, with nil, the room.
func (r *room) tell(s *Switch, member *Channel, from, action string, more ...Variable) {
	e := s.newEvent(evCustom, maintenance, member, nil, from)
	if e == nil {
		return
	}
	about := func() {
		e.add("Conference-Name", r.name)
		e.add("Conference-Domain", "127.0.0.1")
		e.addInt("Conference-Size", int64(len(r.members)))
		e.add("Conference-Ghosts", "0")
		e.add("Conference-Profile-Name", r.profile)
		e.add("Conference-Unique-ID", r.uuid)
	}
	about()
	floor := action == "floor-change"
	if floor {
		e.add("Action", action)
		e.add("Old-ID", "none")
		if member != nil {
			about()
		}
	}
	if member != nil {
		e.add("Floor", fmt.Sprint(r.floor == member))
		member.describeCall(e) // without variables
		e.add("Video", "false")
		e.add("Hear", "true")
		e.add("See", "true")
		e.add("Speak", fmt.Sprint(!member.muted))
		e.add("Talking", "false")
		e.add("Mute-Detect", "false")
		e.add("Hold", "false")
		e.addInt("Member-ID", int64(member.member))
		e.add("Member-Type", "member")
		e.add("Member-Ghost", "false")
		e.add("Energy-Level", "100")
		e.add("Current-Energy", "0")
	}
	if !floor {
		e.add("Action", action)
	}
	for _, v := range more {
		e.add(v.Name, v.Value)
	}
	e.fire()
}

// appConference joins a conference, "name@profile+pin+flags{…}", until the
// caller leaves, is kicked, or the application is broken off.
func appConference(c *Channel, data string) {
	s := c.s
	name, profile, ok := strings.Cut(data, "@")
	if !ok {
		profile = "default"
	}
	profile, _, _ = strings.Cut(profile, "+")
	if rest, ok := strings.CutPrefix(name, "bridge:"); ok {
		name, _, _ = strings.Cut(rest, ":")
	}
	r := s.rooms[name]
	if r == nil {
		r = &room{name: name, profile: profile, uuid: newUUID(), next: 1}
		s.rooms[name] = r
		r.tell(s, nil, fromConferenceNew, "conference-create")
	}
	c.set("conference_name", name)
	c.set("app_session_uuid", r.uuid)
	c.room, c.member = r, r.next
	r.next++
	r.members = append(r.members, c)
	c.setInt("conference_member_id", c.member)
	c.set("conference_moderator", "false")
	c.set("conference_ghost", "false")
	c.set("conference_uuid", r.uuid)
	r.tell(s, c, fromConferenceAdd, "add-member")
	if r.floor == nil {
		c.toTick()
		r.takeFloor(s, c)
	}
	c.deafToBreak = true // only the conference itself lets somebody go
	c.loose = false
	// In FreeSWITCH's own configuration the # of the caller-controls leaves.
	c.idle(-1, func(key byte) bool { return key != '#' && !c.kicked && c.room != nil })
	c.kicked, c.deafToBreak, c.loose = false, false, false
	r.leave(s, c)
	c.resetReadCodec()
}

func (r *room) takeFloor(s *Switch, c *Channel) {
	if r.floor == nil && c.room == r && c.up() {
		r.floor = c
		r.tell(s, c, fromConferenceFloor, "floor-change", Variable{"New-ID", itoa(c.member)})
	}
}

// leave takes a member out, and ends the conference with the last.
func (r *room) leave(s *Switch, c *Channel) {
	if r.floor == c {
		r.floor = nil
		r.tell(s, nil, fromConferenceFloor, "floor-change", Variable{"New-ID", "none"})
	}
	for i, m := range r.members {
		if m == c {
			r.members = append(r.members[:i], r.members[i+1:]...)
			break
		}
	}
	c.room, c.muted = nil, false
	r.tell(s, c, fromConferenceDel, "del-member")
	if len(r.members) > 0 {
		return
	}
	delete(s.rooms, r.name)
	// The conference's own thread ends a tick after the last member.
	s.clock.AfterFunc(frame, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.closed {
			r.tell(s, nil, fromConferenceEnd, "conference-destroy")
		}
	})
}

// member is the one with that number, or nil.
func (r *room) member(n int) *Channel {
	for _, m := range r.members {
		if m.member == n {
			return m
		}
	}
	return nil
}

// conferenceAPI is the API function "conference".
func (s *Switch) conferenceAPI(args string) string {
	words := separate(args, ' ', 10)
	if len(words) == 0 || words[0] == "list" {
		var out strings.Builder
		names := make([]string, 0, len(s.rooms))
		for name := range s.rooms {
			names = append(names, name)
		}
		sort.Strings(names)
		for _, name := range names {
			fmt.Fprintf(&out, "+OK Conference %s (%d members rate: 8000 flags: running|answered|enforce_min|dynamic)\n", name, len(s.rooms[name].members))
		}
		if len(names) == 0 {
			return "+OK No active conferences.\n"
		}
		return out.String()
	}
	r := s.rooms[words[0]]
	if r == nil {
		return "-ERR Conference " + words[0] + " not found\n"
	}
	if len(words) < 2 {
		return "-USAGE: conference " + words[0] + " <command>\n"
	}
	verb, who := strings.ToLower(words[1]), ""
	if len(words) > 2 {
		who = words[2]
	}
	if n := atoi(who); n > 0 && r.member(n) == nil {
		return "-ERR Non-Existant ID " + who + "\n"
	}
	var chosen []*Channel
	for _, m := range r.members {
		if who == "all" || who == itoa(m.member) || who == "uuid="+m.UUID || who == "last" && m == r.members[len(r.members)-1] {
			chosen = append(chosen, m)
		}
	}
	switch verb {
	case "list":
		var out strings.Builder
		for _, m := range r.members {
			fmt.Fprintf(&out, "%d;%s;%s;%s;%s;hear|speak;0;0;100\n", m.member, m.name, m.UUID, m.profile.callerName, m.profile.callerNumber)
		}
		return out.String()
	case "count":
		return itoa(len(r.members))
	case "kick", "hup":
		for _, m := range chosen {
			r.tell(s, m, fromConferenceKick, "kick-member")
			m.kicked = true
			m.loose = true
			m.wake()
		}
		return fmt.Sprintf("+OK kicked %d\n", len(chosen))
	case "mute", "unmute":
		for _, m := range chosen {
			m.muted = verb == "mute"
			r.tell(s, m, fromConferenceMute, verb+"-member")
		}
		return fmt.Sprintf("+OK %s %d\n", verb, len(chosen))
	case "play":
		s.note(nil, Played, "conference "+r.name, who)
		return "+OK (play) Playing file " + who + "\n"
	}
	return "+OK\n"
}
