from dataset.features.conversion import main

if __name__ == "__main__":
    main()
