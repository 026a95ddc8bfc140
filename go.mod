module github.com/octavo-lb/octavo

go 1.26
